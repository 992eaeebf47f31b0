"""Finds the frames in what one side of a ZeroMQ connection sends, and leaves some out.

ZMTP 3: a greeting of 64 bytes, then frames of a flags byte, a length of one or eight bytes, and a
body. A connection from which a whole message is missing is as good as any other, so this loses a
single frame where cutting the link would lose, or at least announce, much more.
"""

from __future__ import annotations

from collections.abc import Callable

GREETING_BYTES = 64
LONG, COMMAND = 0x02, 0x04


class Frames:
    """The stream of one direction; ``loses`` is asked for each message whether it is lost."""

    def __init__(self, loses: Callable[[bytes], bool]) -> None:
        self._loses = loses
        self._pending = bytearray()
        self._greeting_left = GREETING_BYTES

    def passed(self, data: bytes) -> bytes:
        """Take what came, and return what goes on: whole frames."""
        greeting, rest = data[: self._greeting_left], data[self._greeting_left :]
        self._greeting_left -= len(greeting)
        self._pending += rest
        kept = bytearray(greeting)
        while (size := self._first_size()) is not None:
            frame = bytes(self._pending[:size])
            del self._pending[:size]
            if frame[0] & COMMAND or not self._loses(frame[_header_bytes(frame[0]) :]):
                kept += frame
        return bytes(kept)

    def _first_size(self) -> int | None:
        """The size of the first frame with its header; None if it is not all there."""
        if not self._pending:
            return None
        header = _header_bytes(self._pending[0])
        if len(self._pending) < header:
            return None
        size = header + int.from_bytes(self._pending[1:header], "big")
        return size if len(self._pending) >= size else None


def _header_bytes(flags: int) -> int:
    return 9 if flags & LONG else 2
