"""Raw sockets that speak to the mesh as no node would."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator

import zmq

_PORTS = (20_000, 32_000)
HUGE = b"m/" + bytes(10_000_000)


@contextlib.contextmanager
def raw_socket(kind: zmq.SocketType) -> Iterator[zmq.SyncSocket]:
    """A ZeroMQ socket with a context and default options of its own."""
    with zmq.Context() as context, context.socket(kind) as raw:
        raw.setsockopt(zmq.LINGER, 0)
        yield raw


def bind_anywhere(raw: zmq.SyncSocket) -> str:
    """Bind to a free port on loopback and return the endpoint."""
    return f"tcp://127.0.0.1:{raw.bind_to_random_port('tcp://127.0.0.1', *_PORTS)}"


@contextlib.contextmanager
def watching_losses(raw: zmq.SyncSocket) -> Iterator[Callable[[], bool]]:
    """Tell, when called, whether a connection of a socket was lost."""
    monitor = raw.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    yield lambda: bool(monitor.poll(0))
    raw.disable_monitor()
    monitor.close()


async def wait_for_subscription(publisher: zmq.SyncSocket, topic: bytes) -> None:
    """Wait until somebody subscribes to a topic at an XPUB."""
    heard = []
    async with asyncio.timeout(5):
        while b"\x01" + topic not in heard:
            while publisher.poll(0):
                heard.append(publisher.recv())
            await asyncio.sleep(0.01)


@contextlib.contextmanager
def listening(endpoint: str | None = None) -> Iterator[tuple[socket.socket, str]]:
    """A plain TCP socket that listens, and its endpoint; a free one below 32768 by default."""
    if endpoint is not None:
        host, port = endpoint.removeprefix("tcp://").split(":")
        server = socket.create_server((host, int(port)))
    else:
        server = _first_free(range(*_PORTS))
    server.setblocking(False)
    with server:
        yield server, "tcp://{}:{}".format(*server.getsockname())


def _first_free(ports: range) -> socket.socket:
    for port in ports:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise LookupError(f"no port is free from {ports.start} to {ports.stop}")
