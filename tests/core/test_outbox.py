"""The bounded queue of a session."""

from __future__ import annotations

from zmqchat.core.outbox import Outbox


def test_events_are_taken_as_one_piece_in_order() -> None:
    """Everything that waits is one write, and then the outbox is empty."""
    outbox = Outbox()
    assert outbox.push(b"one")
    assert outbox.push(b"two")
    assert outbox.take() == b"onetwo"
    assert outbox.take() == b""
    assert len(outbox) == 0


def test_an_event_past_the_byte_limit_is_not_taken() -> None:
    """Overflow is told by a value, and what was queued stays as it was."""
    outbox = Outbox(max_bytes=5)
    assert outbox.push(b"123")
    assert not outbox.push(b"456")
    assert outbox.push(b"45")
    assert outbox.take() == b"12345"


def test_an_event_past_the_count_limit_is_not_taken() -> None:
    """Small events are bounded by their number; taking makes room."""
    outbox = Outbox(max_events=2)
    assert outbox.push(b"1")
    assert outbox.push(b"2")
    assert not outbox.push(b"3")
    outbox.take()
    assert outbox.push(b"3")
