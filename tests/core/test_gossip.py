"""One node's part of the gossip: frames, links and time in, effects out."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence

from zmqchat.core.gossip import (
    GOODBYES,
    LEAST_QUIET_S,
    PUBLISH_AFTER_S,
    TELL_AFTER_S,
    Effect,
    Gossip,
    News,
    Publish,
    Tell,
    interval_of,
)
from zmqchat.core.members import Turn
from zmqchat.core.roster import LINGER_S, LONG_LINGER_S, RETURN_LINGER_S, Change, Shown
from zmqchat.wire.mesh import (
    Beat,
    Control,
    Delta,
    Header,
    Probe,
    ProbeAck,
    SessionEntry,
    State,
    Suspicion,
    SyncRequest,
)

PEER = Header(7, 100, 0)
AGENT = SessionEntry(1, "super_admin", agent=True)


def gossip(now: float = 0.0) -> Gossip:
    """Node 1 in life 50."""
    return Gossip(1, 50, random.Random(1), now)


def entry(session: int, user: str) -> SessionEntry:
    """A customer's session."""
    return SessionEntry(session, user, agent=False)


def beat(number: int, *, version: int = 0, state: State = State.UP, log_hash: int = 0) -> Beat:
    """A beat of half a second's interval."""
    return Beat(500, number, version, 0, state, 0, log_hash)


def published(effects: Iterable[Effect]) -> list[tuple[Control, int | None]]:
    """What is to be sent."""
    return [(one.control, one.to_node) for one in effects if isinstance(one, Publish)]


def run(one: Gossip, until: float, *, peer_beats: bool = False) -> list[Effect]:
    """Wake a node whenever it wants to be woken; return all effects."""
    effects: list[Effect] = []
    number, at = 1000, one.next_wakeup
    while (now := one.next_wakeup) <= until:
        effects += one.on_tick(now)
        if peer_beats and now >= at:
            number, at = number + 1, now + 0.5
            version, log_hash = one.presence.version(7)
            effects += one.on_frame(PEER, beat(number, version=version, log_hash=log_hash), now)
    return effects


def changes(effects: Sequence[Effect]) -> list[Change]:
    """What agents are told."""
    return [effect.change for effect in effects if isinstance(effect, Tell)]


def test_the_interval_grows_with_the_cluster() -> None:
    """Half a second up to 50 nodes, 4 s at 1000."""
    assert [interval_of(nodes) for nodes in (1, 50, 51, 250, 500, 1000, 5000)] == [
        0.5,
        0.5,
        1.0,
        1.0,
        2.0,
        4.0,
        4.0,
    ]


def test_beats_come_fast_at_first_and_then_at_the_interval() -> None:
    """So that a newcomer is soon known."""
    one = gossip()
    times = []
    while one.next_wakeup < 3.0:
        now = one.next_wakeup
        if any(isinstance(control, Beat) for control, _ in published(one.on_tick(now))):
            times.append(now)
    assert times[:3] == [0.0, 0.1, 0.5]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times[2:])]
    assert all(0.45 <= pause <= 0.55 for pause in pauses)


def test_changes_are_told_to_peers_together_and_then_to_agents() -> None:
    """Two sessions of one moment are one delta, and the beat tells its version."""
    one = gossip()
    run(one, 0.0)
    one.open(entry(1, "u1"), 0.0)
    one.open(entry(2, "u2"), 0.05)
    effects = run(one, TELL_AFTER_S)
    deltas = [control for control, _ in published(effects) if isinstance(control, Delta)]
    assert [delta.opened for delta in deltas] == [[entry(1, "u1"), entry(2, "u2")]]
    assert changes(effects) == [Change(["u1", "u2"], [], [], 1, listed=True)]
    beats = [control for control, _ in published(run(one, 1.0)) if isinstance(control, Beat)]
    assert (beats[-1].version, beats[-1].hash) == (2, deltas[0].hash)


def test_agents_are_in_no_list() -> None:
    """They are sessions of the log, but nobody's news."""
    one = gossip()
    one.open(AGENT, 0.0)
    assert changes(run(one, 1.0)) == []
    assert one.journal.version == 1


def test_a_hole_is_asked_for_after_a_moment_and_filled() -> None:
    """A beat tells of a version that was missed; the answer is applied, and agents are told."""
    one, origin = gossip(), Gossip(7, 100, random.Random(2), 0.0)
    origin.open(entry(1, "u1"), 0.0)
    run(origin, PUBLISH_AFTER_S)
    version, log_hash = origin.journal.version, origin.journal.hash
    one.on_frame(PEER, beat(1, version=version, log_hash=log_hash), 1.0)
    asked = [item for item in published(run(one, 1.25)) if isinstance(item[0], SyncRequest)]
    assert asked == [(SyncRequest(100, 0, 0), 7)]
    answer = [
        control
        for control, to in published(
            [*origin.on_frame(Header(1, 50, 0), asked[0][0], 1.3), *run(origin, 1.301)]
        )
        if to == 1 and isinstance(control, Delta)
    ]
    one.on_frame(PEER, answer[0], 1.31)
    assert one.roster.users == {"u1": Shown.ONLINE}
    assert len(one.repair) == 0


def test_a_question_about_an_older_life_is_not_answered() -> None:
    """Whoever asks will hear of the new one."""
    one = gossip()
    one.open(entry(1, "u1"), 0.0)
    run(one, 1.0)
    one.on_frame(PEER, beat(1), 1.0)
    one.on_frame(PEER, SyncRequest(49, 0, 0), 1.0)
    assert [to for _, to in published(run(one, 1.4)) if to is not None] == []


def test_a_probe_is_answered_to_whoever_sent_it() -> None:
    """With its own number."""
    assert published(gossip().on_frame(PEER, Probe(9), 0.0)) == [(ProbeAck(9), 7)]


def test_a_newcomers_probe_is_answered_the_way_it_came_and_with_a_beat() -> None:
    """Who probes the way of chat joins, and learns at once how things stand here."""
    (ack, to), (news, also_to) = published(gossip().on_frame(PEER, Probe(9, with_chat=True), 0.0))
    assert (ack, to, also_to) == (ProbeAck(9, with_chat=True), 7, 7)
    assert isinstance(news, Beat)


def test_a_node_says_that_it_joins_until_it_is_opened() -> None:
    """Then two more beats follow soon, since one may be lost."""
    one = Gossip(1, 100, random.Random(1), 0.0, state=State.JOINING)
    said = [one.on_tick(0.0), one.opened(0.05), one.on_tick(0.16), one.on_tick(0.27)]
    frames = [frame for effects in said for frame, _ in published(effects)]
    states = [frame.state for frame in frames if isinstance(frame, Beat)]
    assert states == [State.JOINING, State.UP, State.UP, State.UP]


def test_who_is_suspected_beats_at_once() -> None:
    """But however many suspect it, not more than ten times a second."""
    one = gossip()
    run(one, 2.0)
    beats = 0
    for step in range(100):
        now = 2.0 + step / 100
        one.on_frame(PEER, Suspicion(1, 50, 3), now)
        beats += sum(isinstance(control, Beat) for control, _ in published(run(one, now)))
    assert 9 <= beats <= 11


def test_a_suspicion_of_an_older_life_moves_nobody() -> None:
    """That one is over."""
    one = gossip()
    run(one, 2.2)
    one.on_frame(PEER, beat(1), 2.2)
    one.on_frame(PEER, Suspicion(1, 49, 3), 2.2)
    assert published(run(one, 2.25)) == []
    one.on_frame(PEER, Suspicion(1, 50, 3), 2.25)
    assert len(published(run(one, 2.25))) == 1


def test_a_newcomer_is_answered_with_a_beat_of_its_own() -> None:
    """A node that has been up for a while does not let it wait for the next."""
    one = gossip()
    run(one, 10.0)
    answers = [
        item for item in published(one.on_frame(PEER, beat(1), 10.0)) if isinstance(item[0], Beat)
    ]
    assert [to for _, to in answers] == [7]


def test_the_sessions_of_a_dead_node_are_unknown_then_gone_and_come_back_with_it() -> None:
    """Suspect, down, and 5 s later offline; kept meanwhile, so that a beat is enough."""
    one = gossip()
    one.on_frame(PEER, beat(1), 0.0)
    one.on_frame(PEER, Delta(0, 1, [entry(1, "u1")], [], 0), 0.0)
    run(one, 2.9)
    assert one.roster.users == {"u1": Shown.ONLINE}
    effects = run(one, 3.4)
    assert News(Turn.SUSPECT, 7) in effects
    assert [change.unknown for change in changes(effects)] == [["u1"]]
    effects = run(one, 9.9)
    assert News(Turn.DOWN, 7) in effects
    assert one.roster.users == {"u1": Shown.UNKNOWN}
    assert [change.closed for change in changes(run(one, 10.6))] == [["u1"]]
    assert News(Turn.BACK, 7) in one.on_frame(PEER, beat(99), 20.0)
    assert one.roster.users == {"u1": Shown.ONLINE}


def test_users_of_a_draining_node_have_longer() -> None:
    """Its peers let them linger for 30 s, and so does the node itself."""
    one = gossip()
    one.on_frame(PEER, beat(1, state=State.DRAINING), 0.0)
    one.on_frame(PEER, Delta(0, 1, [entry(1, "u1")], [], 0), 0.0)
    one.on_frame(PEER, Delta(1, 2, [], [1], 0), 0.1)
    run(one, 0.1 + LONG_LINGER_S - 0.1, peer_beats=True)
    assert one.roster.users == {"u1": Shown.ONLINE}
    run(one, 0.1 + LONG_LINGER_S + 0.1, peer_beats=True)
    assert one.roster.users == {}


def test_draining_is_said_three_times_and_leaving_is_the_last_word() -> None:
    """A beat may be lost; what was not published yet goes out before the goodbye."""
    one = gossip()
    run(one, 2.0)
    effects = [*one.drain(2.0), *run(one, 2.3)]
    states = [control.state for control, _ in published(effects) if isinstance(control, Beat)]
    assert states == [State.DRAINING] * 3
    one.open(entry(1, "u1"), 2.3)
    farewell = [control for control, _ in published(one.leave(2.31))]
    assert isinstance(farewell[0], Delta)
    assert [control.state for control in farewell[1:] if isinstance(control, Beat)] == [
        State.LEAVING
    ] * GOODBYES


def test_without_links_all_others_are_unknown_and_nobody_goes_offline() -> None:
    """Our own users stay; who lingered is unknown; afterwards all are as they were."""
    one = gossip()
    one.on_frame(PEER, beat(1), 0.0)
    one.on_frame(PEER, Delta(0, 1, [entry(1, "there")], [], 0), 0.0)
    one.open(entry(1, "here"), 0.0)
    one.open(entry(2, "moving"), 0.0)
    run(one, 1.0)
    one.on_forwarders(1.0, up=False)
    one.close(2, 1.0)
    run(one, 60.0)
    assert one.roster.users == {
        "there": Shown.UNKNOWN,
        "here": Shown.ONLINE,
        "moving": Shown.UNKNOWN,
    }
    one.on_forwarders(60.0, up=True)
    one.on_frame(PEER, beat(120, version=1), 60.2)
    effects = run(one, 60.0 + LEAST_QUIET_S + LINGER_S + 0.3, peer_beats=True)
    assert one.roster.users == {"there": Shown.ONLINE, "here": Shown.ONLINE}
    assert [user for change in changes(effects) for user in change.closed] == ["moving"]


def absent(until: float) -> Gossip:
    """Somebody with a user of their own, and two on a peer, who was without links for a while."""
    one = gossip()
    one.on_frame(PEER, beat(1), 0.0)
    opened = [entry(1, "stays"), entry(2, "goes")]
    one.on_frame(PEER, Delta(0, 1, opened, [], 0), 0.0)
    run(one, 1.0)
    one.on_forwarders(1.0, up=False)
    run(one, until)
    one.on_forwarders(until, up=True)
    return one


def test_after_a_long_absence_who_is_gone_is_offline_soon() -> None:
    """Once every log is in step, nobody can have come back anywhere else."""
    one = absent(40.0)
    one.on_frame(PEER, beat(80, version=2), 40.3)
    run(one, 41.5)
    assert one.roster.users == {"stays": Shown.ONLINE, "goes": Shown.ONLINE}, "not in step yet"
    one.on_frame(PEER, Delta(1, 2, [], [2], 0), 41.5)
    version, log_hash = one.presence.version(7)
    one.on_frame(PEER, beat(81, version=version, log_hash=log_hash), 41.5)
    effects = run(one, 41.5 + RETURN_LINGER_S + TELL_AFTER_S + 0.3)
    assert one.roster.users == {"stays": Shown.ONLINE}
    assert [user for change in changes(effects) for user in change.closed] == ["goes"]


def test_after_a_short_absence_users_linger_as_ever() -> None:
    """A page may have been reloaded in it."""
    one = absent(4.0)
    one.on_frame(PEER, beat(8, version=2), 4.3)
    one.on_frame(PEER, Delta(1, 2, [], [2], 0), 4.4)
    run(one, 4.4 + LINGER_S - 0.1, peer_beats=True)
    assert set(one.roster.users) == {"stays", "goes"}


def test_after_a_pause_nobody_is_judged_before_what_waits_was_taken() -> None:
    """A tick that comes a minute late is our own fault."""
    one = gossip()
    one.on_frame(PEER, beat(1), 0.0)
    one.on_frame(PEER, Delta(0, 1, [entry(1, "u1")], [], 0), 0.0)
    run(one, 1.0)
    late = one.next_wakeup + 60.0
    effects = [*one.on_tick(late), *run(one, late + 0.9)]
    assert [effect for effect in effects if isinstance(effect, News)] == []
    one.on_frame(PEER, beat(120, version=1), late + 0.95)
    assert one.roster.users == {"u1": Shown.ONLINE}
