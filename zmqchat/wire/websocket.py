"""RFC 6455 frames of a server: many are read from one piece of bytes, none is written twice.

Knows the framing, not what is in it. The handshake and the stream belong to the web server.
Reading all frames that have arrived at once, instead of awaiting each field of each, is what a
busy connection saves most by.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import NamedTuple

from zmqchat.errors import CloseCode

_FIN = 0x80
_RESERVED = 0x70
_OPCODE = 0x0F
_MASKED = 0x80
_WHOLE_TEXT = 0x81  # FIN and opcode text: nearly every frame there is


class Opcode(enum.IntEnum):
    """What a frame is; 0x8 and above control the connection."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class Violation(NamedTuple):
    """The peer broke the protocol: close with this code, read no further."""

    code: int
    text: str


Received = bytes | tuple[Opcode, bytes] | Violation
Unmask = Callable[[bytes, bytes], bytes]

PROTOCOL_ERROR = 1002


def text_frame(payload: bytes) -> bytes:
    """Frame one text message, unmasked as a server sends it."""
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class FrameReader:
    """Cuts a client's bytes into messages and control frames.

    ``unmask`` takes a mask of 4 bytes and the masked payload. Text messages come as bytes whose
    UTF-8 is not checked yet, control frames as (opcode, payload), binary messages as a violation.
    """

    __slots__ = ("_fragments", "_max_bytes", "_rest", "_unmask")

    def __init__(self, unmask: Unmask, max_bytes: int) -> None:
        self._unmask = unmask
        self._max_bytes = max_bytes
        self._rest = b""
        self._fragments: bytearray | None = None

    def feed(self, data: bytes) -> list[Received]:
        """Take what arrived; return what is complete, ending with the first violation."""
        buffer = self._rest + data if self._rest else data
        position, end = 0, len(buffer)
        received: list[Received] = []
        while end - position >= 2:
            first, second = buffer[position], buffer[position + 1]
            size = second & 0x7F
            start = position + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                if end < start + width:
                    break
                size = int.from_bytes(buffer[start : start + width], "big")
                start += width
            if (violation := self._violation(first, second, size)) is not None:
                return [*received, violation]
            stop = start + 4 + size
            if stop > end:
                break
            payload = self._unmask(buffer[start : start + 4], buffer[start + 4 : stop])
            position = stop
            if first == _WHOLE_TEXT and self._fragments is None:
                received.append(payload)
            elif (message := self._assembled(first, payload)) is not None:
                received.append(message)
                if isinstance(message, Violation):
                    return received
        self._rest = buffer[position:]
        return received

    def _violation(self, first: int, second: int, size: int) -> Violation | None:
        """Judge a frame by its header alone, before its payload has arrived."""
        if not second & _MASKED:
            return Violation(PROTOCOL_ERROR, "a client's frame must be masked")
        if first == _WHOLE_TEXT and size <= self._max_bytes:
            return None
        if first & _RESERVED:
            return Violation(PROTOCOL_ERROR, "a reserved bit is set")
        if first & 0x08:
            if size > 125 or not first & _FIN:
                return Violation(PROTOCOL_ERROR, "a control frame is too long or fragmented")
        elif size + len(self._fragments or b"") > self._max_bytes:
            text = f"a message of {size} bytes exceeds {self._max_bytes}"
            return Violation(CloseCode.TOO_BIG, text)
        return None

    def _assembled(self, first: int, payload: bytes) -> Received | None:
        """Take a control frame or a part of a message; return what is complete."""
        opcode = first & _OPCODE
        if opcode in (Opcode.CLOSE, Opcode.PING, Opcode.PONG):
            return Opcode(opcode), payload
        if opcode == Opcode.BINARY:
            return Violation(CloseCode.UNSUPPORTED_DATA, "binary frames are not understood")
        if opcode not in (Opcode.TEXT, Opcode.CONTINUATION):
            return Violation(PROTOCOL_ERROR, f"unknown opcode {opcode}")
        if (opcode == Opcode.TEXT) is not (self._fragments is None):
            return Violation(PROTOCOL_ERROR, "a message began or went on at the wrong time")
        if self._fragments is None:
            self._fragments = bytearray()
        self._fragments += payload
        if not first & _FIN:
            return None
        message, self._fragments = bytes(self._fragments), None
        return message
