"""One WebSocket of a page: opened with patience for little, watched, and dropped without a word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from urllib.parse import quote

from tornado.httpclient import HTTPError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.websocket import (
    WebSocketClientConnection,
    WebSocketClosedError,
    WebSocketError,
    websocket_connect,
)

from tests.clients import Event

CONNECT_S = 3.0  # a frozen node accepts, and says nothing
PING_S = 2.0
SILENT_S = 5.0  # without any event for so long, although PING is sent: the node is given up
PING = 13
NO_CODE = 1006

FAILURES = (OSError, HTTPError, StreamClosedError, WebSocketError)  # of `Line.open`


class Line:
    """A connection of a user to one node; every event is handed to ``take``."""

    def __init__(self, take: Callable[[Event], None]) -> None:
        self._take = take
        self._socket: WebSocketClientConnection | None = None
        self._ended = asyncio.Event()
        self._heard_at = 0.0

    async def open(self, url: str, user: str, *subprotocols: str) -> None:
        """Connect to the node at a url; raise one of `FAILURES`."""
        address = f"{url.replace('http', 'ws', 1)}/websocket/mq/chat/{quote(user, safe='')}"
        self._socket = await websocket_connect(
            HTTPRequest(address, connect_timeout=CONNECT_S, request_timeout=CONNECT_S),
            on_message_callback=self._on_message,
            subprotocols=list(subprotocols),
        )
        self._heard_at = asyncio.get_running_loop().time()

    @property
    def ended(self) -> bool:
        """Whether the connection is no more."""
        return self._ended.is_set()

    @property
    def close_code(self) -> int:
        """With which code it was closed."""
        return (self._socket.close_code if self._socket is not None else None) or NO_CODE

    def send(self, event: Event) -> None:
        """Send an event; what cannot be sent is lost, as the connection is."""
        if self._socket is None or self.ended:
            return
        try:
            written = self._socket.write_message(json.dumps(event))
        except WebSocketClosedError:
            return
        asyncio.ensure_future(written).add_done_callback(_seen)

    async def watch(self) -> None:
        """Wait until the connection ends, or its node does not answer any more."""
        now = asyncio.get_running_loop().time
        while not self.ended and now() < self._heard_at + SILENT_S:
            try:
                async with asyncio.timeout(PING_S):
                    await self._ended.wait()
            except TimeoutError:
                self.send({"key": PING, "data": {}})

    async def drop(self) -> None:
        """End the connection without saying so, and wait for its end."""
        if self._socket is None:
            return
        if self._socket.protocol is not None and self._socket.protocol.stream is not None:
            self._socket.protocol.stream.close()
        await self._ended.wait()
        self._socket.close()

    def _on_message(self, message: str | bytes | None) -> None:
        if message is None:
            self._ended.set()
        elif not self.ended:
            self._heard_at = asyncio.get_running_loop().time()
            self._take(json.loads(message))


def _seen(written: asyncio.Future[None]) -> None:
    """Take a failure: the end of the connection tells the same."""
    if not written.cancelled():
        written.exception()
