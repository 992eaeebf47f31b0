"""Who is alive, told from beats."""

from __future__ import annotations

from zmqchat.core.members import DOWN_AFTER_S, Heard, Members
from zmqchat.wire.mesh import Beat, State


def beat(number: int, sessions: int = 0, state: State = State.UP) -> Beat:
    """A beat of half a second's interval."""
    return Beat(500, number, 0, sessions, state, 0)


def test_a_node_is_new_once_and_then_known() -> None:
    """The first sign of life is news."""
    members = Members()
    assert members.on_beat(7, 100, beat(1), 0.0) is Heard.NEW
    assert members.on_beat(7, 100, beat(2, sessions=3), 0.5) is Heard.KNOWN
    assert members.alive[7].sessions == 3


def test_a_silent_node_is_down_after_five_seconds_and_told_once() -> None:
    """Up to the limit it lives; past it, it is gone."""
    members = Members()
    members.on_beat(7, 100, beat(1), 0.0)
    assert members.on_tick(DOWN_AFTER_S) == []
    assert members.on_tick(DOWN_AFTER_S + 0.01) == [7]
    assert members.on_tick(60.0) == []
    assert members.on_beat(7, 100, beat(2), 61.0) is Heard.NEW


def test_any_frame_is_a_sign_of_life() -> None:
    """A node whose beats are lost but whose deltas arrive is not down."""
    members = Members()
    members.on_beat(7, 100, beat(1), 0.0)
    members.hear(7, 100, 4.0)
    assert members.on_tick(8.0) == []


def test_a_new_life_replaces_the_old_one_for_good() -> None:
    """Frames of the old incarnation, still on their way, are ignored."""
    members = Members()
    members.on_beat(7, 100, beat(9), 0.0)
    assert members.on_beat(7, 200, beat(1), 1.0) is Heard.NEW
    assert members.on_beat(7, 100, beat(10), 1.1) is Heard.OLD
    assert members.alive[7].incarnation == 200


def test_who_said_goodbye_does_not_come_back_in_the_same_life() -> None:
    """A late frame of a node that left is ignored; its next life is welcome."""
    members = Members()
    members.on_beat(7, 100, beat(1), 0.0)
    assert members.on_beat(7, 100, beat(2, state=State.LEAVING), 1.0) is Heard.LEFT
    assert members.alive == {}
    assert members.on_beat(7, 100, beat(3), 1.1) is Heard.OLD
    assert members.on_beat(7, 101, beat(1), 2.0) is Heard.NEW


def test_an_overtaken_beat_changes_no_count() -> None:
    """With two forwarders beats may arrive late: the newest number counts."""
    members = Members()
    members.on_beat(7, 100, beat(5, sessions=50), 0.0)
    members.on_beat(7, 100, beat(4, sessions=40), 0.1)
    assert members.alive[7].sessions == 50
