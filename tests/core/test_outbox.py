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


def test_there_is_room_for_a_page_while_less_than_a_quarter_waits() -> None:
    """By bytes and by number; who waits for room is told once, when everything was taken."""
    told: list[bool] = []
    for outbox in (Outbox(max_bytes=8), Outbox(max_events=8)):
        assert outbox.push(b"1")
        assert outbox.has_room()
        assert outbox.push(b"2")
        assert not outbox.has_room()
        outbox.on_taken = lambda: told.append(True)
        outbox.take()
        assert outbox.has_room()
        outbox.push(b"3")
        outbox.take()
    assert told == [True, True]
