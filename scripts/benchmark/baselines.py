"""Bare Tornado, the yardstick of the machine: an echo server, and a handler that only sends pings.

``python -m scripts.benchmark.baselines echo`` (or ``pings``) runs one and prints where it listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any

import click
import tornado.httpserver
import tornado.netutil
import tornado.web
import tornado.websocket
import uvloop

from zmqchat.parent import die_with

_PING_INTERVAL_S = 10


class Echo(tornado.websocket.WebSocketHandler):
    """Send back what comes in, frame by frame."""

    def open(self, *_: str) -> None:
        """Send small frames at once."""
        self.set_nodelay(True)

    def on_message(self, message: str | bytes) -> None:
        """Send it back."""
        self.write_message(message)


class Silent(tornado.websocket.WebSocketHandler):
    """Hold the connection; Tornado's own pings find out whether it lives."""

    def open(self, *_: str) -> None:
        """Send small frames at once."""
        self.set_nodelay(True)

    def on_message(self, _message: str | bytes) -> None:
        """Ignore it."""


_KINDS: dict[str, tuple[type[tornado.websocket.WebSocketHandler], dict[str, Any]]] = {
    "echo": (Echo, {}),
    "pings": (Silent, {"websocket_ping_interval": _PING_INTERVAL_S}),
}


async def serve(kind: str) -> None:
    """Listen on a free port until SIGTERM."""
    handler, settings = _KINDS[kind]
    routes = [(r"/websocket/mq/chat/(.+)", handler)]
    server = tornado.httpserver.HTTPServer(tornado.web.Application(routes, **settings))
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1", backlog=1024)
    server.add_sockets(sockets)
    port = sockets[0].getsockname()[1]
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    print(f"{kind} ready: http://127.0.0.1:{port}", flush=True)
    await stopped.wait()
    server.stop()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(server.close_all_connections(), timeout=1)


@click.command()
@click.argument("kind", type=click.Choice(list(_KINDS)))
@click.option("--parent", type=int, help="Do not outlive this process.")
def main(kind: str, parent: int | None) -> None:
    """Run a bare Tornado server until SIGTERM."""
    die_with(parent)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(kind))


if __name__ == "__main__":
    main()
