"""Who is alive: each transition, with times by hand."""

from __future__ import annotations

from zmqchat.core.members import (
    CONFIRM_AFTER_S,
    DOUBT_MOST_S,
    FORGET_AFTER_S,
    PROBES,
    REFUSED_FOR_S,
    Life,
    Members,
    Turn,
)
from zmqchat.wire.mesh import Beat, Relay, State, Suspicion

D = 5.0  # of a node that beats every half second


def beat(
    number: int, *, sessions: int = 0, state: State = State.UP, relays: tuple[Relay, ...] = ()
) -> Beat:
    """A beat of half a second's interval."""
    return Beat(500, number, 0, sessions, state, 0, relays=list(relays))


def cluster(*nodes: int, now: float = 0.0) -> Members:
    """The members as seen by a node that has just heard these, each in life 100."""
    members = Members()
    for node in nodes:
        members.on_beat(node, 100, beat(1), now)
    turns(members)
    return members


def turns(members: Members) -> list[tuple[Turn, int]]:
    """Take what happened."""
    events, members.events = members.events, []
    return [(event.turn, event.node) for event in events]


def life(members: Members, node: int) -> Life | None:
    """What is thought of a node."""
    member = members.get(node)
    return member.life if member is not None else None


def keep_beating(members: Members, nodes: range, until: float) -> None:
    """Let some nodes beat, and judge, every half second."""
    for step in range(int(until * 2) + 1):
        for node in nodes:
            members.on_beat(node, 100, beat(2 + step), step / 2)
        members.on_tick(step / 2)


def test_a_node_is_new_once_and_then_known() -> None:
    """The first sign of life is news."""
    members = Members()
    assert members.on_beat(7, 100, beat(1), 0.0)
    assert turns(members) == [(Turn.CAME, 7)]
    assert members.on_beat(7, 100, beat(2, sessions=3), 0.5)
    assert turns(members) == []
    assert members.alive[7].sessions == 3


def test_a_silent_node_is_suspect_and_then_down() -> None:
    """At 60 % of D it is suspect and told once; past D it is down, and then forgotten."""
    members = cluster(7, 8, 9)
    keep_beating(members, range(8, 10), 2.9)
    assert turns(members) == []
    members.on_tick(3.0)
    assert turns(members) == [(Turn.SUSPECT, 7)]
    assert members.suspicions == [Suspicion(7, 100, 1)]
    members.on_tick(D - 0.01)
    assert turns(members) == []
    members.on_tick(D)
    assert (Turn.DOWN, 7) in turns(members)
    assert 7 not in members.alive
    assert life(members, 7) is Life.DOWN
    for now in (D + FORGET_AFTER_S - 0.1, D + FORGET_AFTER_S):
        members.on_tick(now)
    assert (Turn.FORGOTTEN, 7) in turns(members)
    assert members.get(7) is None


def test_a_suspect_is_probed_three_times_half_a_second_apart() -> None:
    """And its answer, or any other frame of it, clears it."""
    members = cluster(7)
    for now in (3.0, 3.2, 3.5, 4.0, 4.5):
        members.on_tick(now)
    assert members.probes == [7] * PROBES
    turns(members)
    assert members.hear(7, 100, 4.6)
    assert turns(members) == [(Turn.BACK, 7)]
    members.on_tick(7.5)
    assert life(members, 7) is Life.ALIVE


def test_a_node_that_was_down_comes_back_in_the_same_life() -> None:
    """A newer beat is enough; a late one is not."""
    members = cluster(7)
    members.on_tick(3.0)
    members.on_tick(D)
    turns(members)
    members.on_beat(7, 100, beat(1), 6.0)
    assert life(members, 7) is Life.DOWN
    members.on_beat(7, 100, beat(2), 6.1)
    assert turns(members) == [(Turn.BACK, 7)]


def test_a_relayed_beat_keeps_a_node_alive_but_never_makes_one_known() -> None:
    """It counts from when it was heard, and only in the same life."""
    members = cluster(7, 8)
    members.on_beat(8, 100, beat(2, relays=((7, 100, 5, 500), (9, 100, 5, 0), (7, 99, 9, 0))), 2.5)
    assert members.get(9) is None
    members.on_tick(4.9)
    assert life(members, 7) is Life.ALIVE
    members.on_tick(5.01)
    assert life(members, 7) is Life.SUSPECT
    members.on_beat(8, 100, beat(3, relays=((7, 100, 6, 3500),)), 6.0)
    assert life(members, 7) is Life.SUSPECT, "that was too long ago"
    members.on_beat(8, 100, beat(4, relays=((7, 100, 7, 100),)), 6.1)
    assert life(members, 7) is Life.ALIVE


def test_doubted_nodes_are_relayed_first() -> None:
    """Who has heard more than the doubter relays that with the next beat, once."""
    members = cluster(*range(1, 21))
    members.on_beat(7, 100, beat(9), 1.0)
    members.on_suspicion(8, Suspicion(7, 100, 3), 1.1)
    chosen = members.relays(1.2, lambda population, k: population[:k])
    assert (7, 100, 9, 199) in chosen
    assert len(chosen) == 8
    members.on_suspicion(8, Suspicion(20, 100, 1), 1.1)
    again = members.relays(1.2, lambda population, k: population[:k])
    assert 20 not in [node for node, *_ in again], "we know no more than the doubter"


def test_a_new_life_replaces_the_old_one_for_good() -> None:
    """Frames of the old incarnation, still on their way, are ignored."""
    members = cluster(7)
    assert members.on_beat(7, 200, beat(1), 1.0)
    assert turns(members) == [(Turn.CAME, 7)]
    assert not members.on_beat(7, 100, beat(10), 1.1)
    assert not members.hear(7, 100, 1.1)
    assert members.alive[7].incarnation == 200


def test_who_said_goodbye_does_not_come_back_in_the_same_life() -> None:
    """A late frame of a node that left is ignored; its next life is welcome."""
    members = cluster(7)
    members.on_beat(7, 100, beat(2, state=State.LEAVING), 1.0)
    assert turns(members) == [(Turn.LEFT, 7)]
    assert not members.on_beat(7, 100, beat(3), 1.1)
    assert not members.on_beat(7, 100, beat(3, state=State.LEAVING), 1.1)
    assert members.alive == {}
    assert members.on_beat(7, 101, beat(1), 2.0)


def test_a_forgotten_life_comes_back_only_if_it_beats_on() -> None:
    """What is left in some queue of it is ignored."""
    members = cluster(7)
    for now in (3.0, 5.0, 700.0):
        members.on_tick(now)
    assert (Turn.FORGOTTEN, 7) in turns(members)
    assert not members.on_beat(7, 100, beat(1), 701.0)
    assert not members.hear(7, 100, 701.0)
    assert members.on_beat(7, 100, beat(1300), 702.0)


def test_an_overtaken_beat_changes_no_count() -> None:
    """With two forwarders beats may arrive late: the newest number counts."""
    members = Members()
    members.on_beat(7, 100, beat(5, sessions=50), 0.0)
    members.on_beat(7, 100, beat(4, sessions=40), 0.1)
    assert members.alive[7].sessions == 50


def test_a_slow_node_has_more_time() -> None:
    """D is three and a half of the intervals that the node itself tells."""
    members = Members()
    members.on_beat(7, 100, Beat(4000, 1, 0, 0, State.UP, 0), 0.0)
    members.on_tick(3.0)
    members.on_tick(8.3)
    assert life(members, 7) is Life.ALIVE
    members.on_tick(8.4)
    assert life(members, 7) is Life.SUSPECT
    members.on_tick(13.9)
    assert life(members, 7) is Life.SUSPECT
    members.on_tick(14.0)
    assert life(members, 7) is Life.DOWN


def test_a_broken_link_and_enough_reporters_are_a_death_within_a_second() -> None:
    """With five nodes all three others have to say so."""
    members = cluster(1, 2, 3, 7)
    members.on_link(7, 1.0, up=False)
    assert turns(members) == [(Turn.SUSPECT, 7)]
    assert len(members.suspicions) == 1
    for reporter in (1, 2):
        members.on_suspicion(reporter, Suspicion(7, 100, 1), 1.1)
        members.on_suspicion(reporter, Suspicion(7, 100, 1), 1.2)
    members.on_tick(2.5)
    assert life(members, 7) is Life.SUSPECT
    members.on_suspicion(3, Suspicion(7, 100, 1), 2.6)
    members.on_tick(2.6)
    assert life(members, 7) is Life.DOWN


def test_no_verdict_falls_within_a_second_of_the_break() -> None:
    """However many report it."""
    members = cluster(1, 2, 3, 4, 7)
    for reporter in (1, 2, 3, 4):
        members.on_suspicion(reporter, Suspicion(7, 100, 1), 0.9)
    members.on_link(7, 1.0, up=False)
    members.on_tick(1.0 + CONFIRM_AFTER_S - 0.01)
    assert life(members, 7) is Life.SUSPECT
    members.on_tick(1.0 + CONFIRM_AFTER_S)
    assert life(members, 7) is Life.DOWN


def test_a_beat_after_the_break_clears_a_node_and_one_from_before_does_not() -> None:
    """A relayed beat that was sent before the link broke proves nothing."""
    members = cluster(1, 2, 7)
    members.on_link(7, 1.0, up=False)
    members.on_beat(1, 100, beat(2, relays=((7, 100, 2, 300),)), 1.2)
    assert life(members, 7) is Life.SUSPECT
    members.on_beat(2, 100, beat(2, relays=((7, 100, 3, 100),)), 1.4)
    assert life(members, 7) is Life.ALIVE


def test_reporters_alone_kill_nobody() -> None:
    """Whose own link works waits for D."""
    members = cluster(1, 2, 3, 4, 7)
    for reporter in (1, 2, 3, 4):
        members.on_suspicion(reporter, Suspicion(7, 100, 1), 0.5)
    members.on_tick(2.9)
    assert life(members, 7) is Life.ALIVE


def test_two_that_die_at_once_need_only_the_others() -> None:
    """Of five nodes two are gone: the two that are left confirm it to each other."""
    members = cluster(1, 2, 6, 7)
    for node in (6, 7):
        members.on_link(node, 1.0, up=False)
        members.on_suspicion(1, Suspicion(node, 100, 1), 1.0)
        members.on_suspicion(2, Suspicion(node, 100, 1), 1.0)
    members.on_tick(2.1)
    assert (life(members, 6), life(members, 7)) == (Life.DOWN, Life.DOWN)


def test_who_loses_all_links_kills_nobody_quickly() -> None:
    """Nobody confirms it: more likely the switch is dead."""
    members = cluster(1, 2, 3)
    for node in (1, 2, 3):
        members.on_link(node, 1.0, up=False)
    members.on_tick(4.9)
    assert {life(members, node) for node in (1, 2, 3)} == {Life.SUSPECT}


def test_of_two_nodes_the_other_is_down_when_its_port_is_closed() -> None:
    """Two seconds after the break if it refuses; if it only says nothing, after D."""
    members = cluster(7)
    members.on_link(7, 1.0, up=False)
    members.on_link(7, 1.3, up=False, refused=True)
    members.on_tick(1.0 + REFUSED_FOR_S - 0.01)
    assert life(members, 7) is Life.SUSPECT
    members.on_tick(1.0 + REFUSED_FOR_S)
    assert life(members, 7) is Life.DOWN
    silent = cluster(7)
    silent.on_link(7, 1.0, up=False)
    silent.on_tick(D - 0.1)
    assert life(silent, 7) is Life.SUSPECT
    silent.on_tick(D)
    assert life(silent, 7) is Life.DOWN


def test_a_link_that_is_up_again_waits_for_a_beat() -> None:
    """It is no proof of life, but takes the fast path away."""
    members = cluster(7)
    members.on_link(7, 1.0, up=False, refused=True)
    members.on_link(7, 1.5, up=True)
    members.on_tick(4.0)
    assert life(members, 7) is Life.SUSPECT
    members.on_beat(7, 100, beat(2), 4.1)
    assert life(members, 7) is Life.ALIVE


def test_a_pause_of_our_own_counts_against_nobody() -> None:
    """Every deadline moves by it, and for a while nobody is judged."""
    members = cluster(7, 8)
    members.pause(60.0, 62.0, 61.0)
    members.on_tick(61.0)
    members.on_tick(61.9)
    assert turns(members) == []
    members.on_tick(63.0)
    assert turns(members) == [(Turn.SUSPECT, 7), (Turn.SUSPECT, 8)]


def test_without_any_link_nobody_is_judged() -> None:
    """All are suspect at once; when a link is back, everybody has D to be heard again."""
    members = cluster(7, 8)
    members.freeze(1.0)
    assert turns(members) == [(Turn.SUSPECT, 7), (Turn.SUSPECT, 8)]
    assert not members.judges(30.0)
    members.on_tick(30.0)
    assert turns(members) == []
    members.thaw(31.0)
    members.on_beat(7, 100, beat(2), 31.2)
    assert turns(members) == [(Turn.BACK, 7)]
    members.on_beat(7, 100, beat(3), 34.0)
    members.on_tick(31.0 + D - 0.1)
    assert life(members, 8) is Life.SUSPECT
    members.on_beat(7, 100, beat(4), 35.0)
    members.on_tick(31.0 + D)
    assert turns(members) == [(Turn.DOWN, 8)]


def test_who_suspects_nearly_all_doubts_itself_first() -> None:
    """With eight nodes or more, and nobody who confirms, verdicts wait for up to ten seconds."""
    members = cluster(*range(1, 9))
    for now in (3.0, D, D + 1.0, D + DOUBT_MOST_S - 0.1):
        members.on_tick(now)
    assert {life(members, node) for node in range(1, 9)} == {Life.SUSPECT}
    members.on_tick(D + DOUBT_MOST_S)
    assert {life(members, node) for node in range(1, 9)} == {Life.DOWN}


def test_deaths_that_others_confirm_are_no_reason_for_doubt() -> None:
    """Four of nine die, and somebody says so of each."""
    members = cluster(*range(1, 9))
    keep_beating(members, range(5, 9), 3.0)
    for node in range(1, 5):
        members.on_suspicion(8, Suspicion(node, 100, 1), 3.1)
    keep_beating(members, range(5, 9), D + 0.5)
    assert {life(members, node) for node in range(1, 5)} == {Life.DOWN}


def test_in_a_small_cluster_nobody_doubts_itself() -> None:
    """Or one crash of three would freeze everything."""
    members = cluster(1, 2)
    members.on_tick(3.0)
    members.on_tick(D)
    assert {life(members, 1), life(members, 2)} == {Life.DOWN}
