"""A WebSocket connection that reads all frames that have arrived at once.

Tornado awaits each field of each frame, which costs several times what a message costs here, and
serves one busy connection to the end of its buffer before others get a turn. Handshake, closing
and control frames stay Tornado's.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from tornado.iostream import StreamClosedError
from tornado.util import _websocket_mask
from tornado.websocket import WebSocketHandler, WebSocketProtocol13, _WebSocketParams

from zmqchat.errors import CloseCode
from zmqchat.wire.websocket import FrameReader, Opcode, Received, Violation

# About a hundred small messages, a millisecond of work: then other connections get their turn.
READ_BYTES = 16 * 1024
DISCARD_S = 1.0  # how long a refused client may take to see why


class TextHandler(Protocol):
    """Who admits a client, and takes what it says."""

    async def admit(self) -> bool:
        """Decide on a client whose handshake is right; False if it was refused instead."""

    def on_text(self, payload: bytes) -> None:
        """Take one text message, valid UTF-8."""

    def on_heard(self) -> None:
        """Note that the client gave a sign of life."""


class BatchedWebSocket(WebSocketProtocol13):
    """Server side of one connection; its handler is a `WebSocketHandler` and a `TextHandler`."""

    def __init__(self, handler: WebSocketHandler, receiver: TextHandler, max_bytes: int) -> None:
        super().__init__(handler, False, _WebSocketParams(max_message_size=max_bytes))
        self._receiver = receiver
        self._has_stream = False  # before the session is ready, the request has it
        self._reader = FrameReader(_websocket_mask, max_bytes)

    async def accept_connection(self, handler: WebSocketHandler) -> None:
        """Shake hands with a client that is admitted, and serve until the connection ends.

        Tornado comes here when it has checked the request and its origin: a request that it
        refuses must not log anybody in.
        """
        if await self._receiver.admit() and not self.client_terminated:
            self._has_stream = True
            await super().accept_connection(handler)

    def on_connection_close(self) -> None:
        """Note that the client has left, perhaps while its session was being prepared."""
        if self._has_stream:
            super().on_connection_close()
        else:  # there is nothing to close yet
            self.client_terminated = True

    async def _receive_frame_loop(self) -> None:
        stream = self.stream
        stream.read_chunk_size = READ_BYTES
        try:
            while not self.client_terminated:
                data = stream.read_bytes(READ_BYTES, partial=True)
                if data.done():  # type: ignore[attr-defined]  # a Future, declared as Awaitable
                    await asyncio.sleep(0)
                violation = self._take(await data)
                if violation is not None:
                    await self._refuse(violation)
        except StreamClosedError:
            self._abort()
        finally:
            self.handler.on_ws_connection_close(self.close_code, self.close_reason)

    def _take(self, data: bytes) -> Violation | None:
        receiver = self._receiver
        receiver.on_heard()
        for received in self._reader.feed(data):
            if self.is_closing() and not _is_close(received):
                continue  # after a close of either side only the other's close frame matters
            if isinstance(received, bytes):
                if not received.isascii() and not _is_utf8(received):
                    return Violation(CloseCode.INVALID_TEXT, "a text frame is not UTF-8")
                receiver.on_text(received)
            elif isinstance(received, Violation):
                return received
            else:
                self._handle_message(*received)
        return None

    async def _refuse(self, violation: Violation) -> None:
        """Close with the reason, and let the client read it.

        Closing a socket with unread bytes resets the connection, and the client would lose the
        close frame: so what still comes is read and thrown away for a moment.
        """
        self.close_code = violation.code
        self.close(violation.code, violation.text)
        try:
            async with asyncio.timeout(DISCARD_S):
                while True:
                    await self.stream.read_bytes(READ_BYTES, partial=True)
        except TimeoutError:
            pass
        finally:
            self._abort()


def _is_close(received: Received) -> bool:
    return not isinstance(received, bytes) and received[0] is Opcode.CLOSE


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
