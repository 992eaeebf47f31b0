"""Frames of a ZeroMQ connection that are lost one by one."""

from __future__ import annotations

import pytest

from scripts.faulting.frames import GREETING_BYTES, Frames

GREETING = bytes(range(GREETING_BYTES))
READY = b"\x04\x05READY"
SHORT = b"\x00\x05m/one"
LONG = b"\x02" + (300).to_bytes(8, "big") + b"m/" + b"x" * 298
OTHER = b"\x00\x05h/two"


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_only_what_is_to_be_lost_is_missing(size: int) -> None:
    """However the stream is cut into pieces; commands are never asked about."""
    stream = GREETING + READY + SHORT + OTHER + LONG + OTHER
    asked: list[bytes] = []

    def loses(frame: bytes) -> bool:
        asked.append(frame)
        return frame.startswith(b"m/")

    frames = Frames(loses)
    passed = b"".join(
        frames.passed(stream[start : start + size]) for start in range(0, len(stream), size)
    )
    assert passed == GREETING + READY + OTHER + OTHER
    assert [len(frame) for frame in asked] == [5, 5, 300, 5]
