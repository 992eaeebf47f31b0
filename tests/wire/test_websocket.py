"""RFC 6455 frames: what is read from pieces of bytes, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.errors import CloseCode
from zmqchat.wire.websocket import PROTOCOL_ERROR, FrameReader, Opcode, Violation, text_frame

MAX = 1000


def unmask(mask: bytes, data: bytes) -> bytes:
    """XOR with the mask, byte by byte."""
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True, mask: bytes = b"abcd") -> bytes:
    """A client's frame."""
    first = (0x80 if fin else 0) | opcode
    size = len(payload)
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 65536:
        head = bytes([first, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, 0x80 | 127]) + size.to_bytes(8, "big")
    return head + mask + unmask(mask, payload)


def reader(max_bytes: int = MAX) -> FrameReader:
    """A reader as a server makes it."""
    return FrameReader(unmask, max_bytes)


texts = st.lists(st.binary(max_size=300), max_size=8)


@given(texts, st.lists(st.integers(1, 40), max_size=20))
def test_messages_survive_any_cut_of_the_stream(payloads: list[bytes], cuts: list[int]) -> None:
    """However the bytes arrive, the messages come out whole and in order."""
    stream = b"".join(frame(payload) for payload in payloads)
    pieces, rest = [], stream
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    received = []
    frames = reader()
    for piece in [*pieces, rest]:
        received += frames.feed(piece)
    assert received == payloads


def test_fragments_are_put_together_around_a_ping() -> None:
    """A control frame may stand between the parts of a message."""
    stream = frame(b"he", fin=False) + frame(b"!", 0x9) + frame(b"llo", 0x0)
    assert reader().feed(stream) == [(Opcode.PING, b"!"), b"hello"]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b"\x81\x02hi", PROTOCOL_ERROR),  # not masked
        (frame(b"x", 0x41), PROTOCOL_ERROR),  # a reserved bit
        (frame(b"x", 0x3), PROTOCOL_ERROR),  # an opcode of the future
        (frame(b"x", 0x0), PROTOCOL_ERROR),  # nothing to continue
        (frame(b"a", fin=False) + frame(b"b"), PROTOCOL_ERROR),  # began again
        (frame(b"x", 0x9, fin=False), PROTOCOL_ERROR),  # a fragmented ping
        (frame(b"x" * 126, 0x9), PROTOCOL_ERROR),  # a long ping
        (frame(b"x", 0x2), CloseCode.UNSUPPORTED_DATA),
        (frame(b"x" * (MAX + 1)), CloseCode.TOO_BIG),
        (frame(b"x" * MAX, fin=False) + frame(b"x", 0x0), CloseCode.TOO_BIG),
        (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", CloseCode.TOO_BIG),  # by its header alone
    ],
)
def test_what_breaks_the_protocol_is_a_violation(stream: bytes, code: int) -> None:
    """The last thing received says with which code to close."""
    last = reader().feed(stream)[-1]
    assert isinstance(last, Violation)
    assert last.code == code


def test_what_came_before_a_violation_is_kept() -> None:
    """Good messages in the same piece are not lost."""
    received = reader().feed(frame(b"good") + frame(b"bad", 0x2))
    assert received[0] == b"good"
    assert isinstance(received[1], Violation)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Random bytes never raise."""
    reader().feed(data)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_a_server_frame_tells_its_size(size: int) -> None:
    """Each of the three ways to write a length."""
    payload = b"x" * size
    framed = text_frame(payload)
    assert framed[0] == 0x81
    assert framed.endswith(payload)
    assert len(framed) - size == (2 if size < 126 else 4 if size < 65536 else 10)
