"""Presence logs: deltas, gaps, snapshots, and the users they add up to."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from zmqchat.core.presence import ENTRIES_PER_FRAME, SYNC_RETRY_S, Diff, Presence
from zmqchat.wire.mesh import Delta, SessionEntry, SyncRequest

NOTHING = Diff([], [])


def entry(session: int, user: str, *, agent: bool = False) -> SessionEntry:
    """A session's line in a log."""
    return SessionEntry(session, user, agent)


def test_a_user_is_online_from_the_first_session_to_the_last() -> None:
    """Two tabs of one user are one coming and one going."""
    presence = Presence()
    assert presence.open(entry(1, "u1")) == Diff(["u1"], [])
    assert presence.open(entry(2, "u1")) == NOTHING
    assert presence.close(1) == NOTHING
    assert presence.close(2) == Diff([], ["u1"])
    assert presence.online == {}


def test_agents_are_not_among_the_customers() -> None:
    """The desk's own sessions change no list."""
    presence = Presence()
    assert presence.open(entry(1, "super_admin", agent=True)) == NOTHING
    assert presence.own_sessions == 1
    assert presence.close(1) == NOTHING


def test_a_delta_is_applied_once() -> None:
    """The second copy, as two forwarders bring it, changes nothing."""
    presence = Presence()
    presence.begin(7, 100)
    delta = Delta(0, 1, [entry(1, "u1")], [])
    assert presence.on_delta(7, 100, delta) == Diff(["u1"], [])
    assert presence.on_delta(7, 100, delta) == NOTHING
    assert presence.missing(7, 100, 1, now=0.0) is None


def test_a_gap_is_asked_for_once_a_second() -> None:
    """A delta that does not fit is not applied; its origin is asked, but not again and again."""
    presence = Presence()
    presence.begin(7, 100)
    assert presence.on_delta(7, 100, Delta(3, 4, [entry(4, "u4")], [])) == NOTHING
    assert presence.missing(7, 100, 4, now=0.0) == SyncRequest(100, 0)
    assert presence.missing(7, 100, 4, now=0.5) is None
    assert presence.missing(7, 100, 4, now=SYNC_RETRY_S) == SyncRequest(100, 0)


def test_a_snapshot_emits_only_the_net_difference() -> None:
    """Who was known and still is there neither leaves nor joins again."""
    origin, peer = Presence(), Presence()
    peer.begin(7, 100)
    origin.open(entry(1, "stays"))
    origin.open(entry(2, "goes"))
    for delta in origin.take_deltas():
        peer.on_delta(7, 100, delta)
    origin.close(2)
    origin.open(entry(3, "comes"))
    origin.take_deltas()  # lost
    (chunk,) = origin.snapshot()
    assert peer.on_snapshot(7, 100, chunk) == Diff(["comes"], ["goes"])
    assert set(peer.online) == {"stays", "comes"}
    assert peer.on_snapshot(7, 100, chunk) == NOTHING


def test_a_snapshot_is_applied_when_all_chunks_are_there_in_any_order() -> None:
    """A large log comes in chunks; half of one is nobody."""
    origin, peer = Presence(), Presence()
    peer.begin(7, 100)
    for number in range(2 * ENTRIES_PER_FRAME + 1):
        origin.open(entry(number, f"u{number}"))
    deltas = origin.take_deltas()
    assert [len(delta.opened) for delta in deltas] == [1000, 1000, 1]
    chunks = origin.snapshot()
    assert len(chunks) == 3
    random.Random(1).shuffle(chunks)
    assert peer.on_snapshot(7, 100, chunks[0]) == NOTHING
    assert peer.on_snapshot(7, 100, chunks[1]) == NOTHING
    assert len(peer.on_snapshot(7, 100, chunks[2]).joined) == 2001
    assert peer.missing(7, 100, deltas[-1].to_version, now=0.0) is None


def test_a_snapshot_speaks_of_what_was_published() -> None:
    """A session that no delta has told yet is in the next delta, not in the snapshot."""
    origin, peer = Presence(), Presence()
    peer.begin(7, 100)
    origin.open(entry(1, "u1"))
    origin.take_deltas()
    origin.open(entry(2, "u2"))
    for chunk in origin.snapshot():
        peer.on_snapshot(7, 100, chunk)
    assert set(peer.online) == {"u1"}
    for delta in origin.take_deltas():
        peer.on_delta(7, 100, delta)
    assert set(peer.online) == {"u1", "u2"}


def test_a_new_life_leaves_nothing_of_the_old_one() -> None:
    """After a restart the old sessions are gone and late frames of the old life are ignored."""
    presence = Presence()
    presence.begin(7, 100)
    presence.on_delta(7, 100, Delta(0, 1, [entry(1, "u1")], []))
    assert presence.begin(7, 200) == Diff([], ["u1"])
    assert presence.on_delta(7, 100, Delta(1, 2, [entry(2, "ghost")], [])) == NOTHING
    assert presence.missing(7, 100, 9, now=0.0) is None
    assert presence.online == {}


def test_a_user_who_moves_in_one_step_does_not_flap() -> None:
    """A session that closes and one that opens in the same delta are no news."""
    presence = Presence()
    presence.begin(7, 100)
    presence.on_delta(7, 100, Delta(0, 1, [entry(1, "u1")], []))
    assert presence.on_delta(7, 100, Delta(1, 3, [entry(2, "u1")], [1])) == NOTHING


def test_a_dropped_node_takes_its_users_along() -> None:
    """Those who also are elsewhere stay online."""
    presence = Presence()
    presence.open(entry(1, "both"))
    presence.begin(7, 100)
    presence.on_delta(7, 100, Delta(0, 2, [entry(1, "both"), entry(2, "there")], []))
    assert presence.drop(7) == Diff([], ["there"])
    assert presence.drop(7) == NOTHING


steps = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["toggle", "toggle", "publish", "lose", "sync"])),
    max_size=60,
)


@given(steps, st.randoms(use_true_random=False))
def test_views_agree_after_any_loss(script: list[tuple[int, str]], rng: random.Random) -> None:
    """Whatever deltas are lost, doubled or late, a gap is found and a snapshot mends it."""
    origin, peer = Presence(), Presence()
    peer.begin(7, 100)
    open_sessions: dict[int, int] = {}
    sessions = 0
    shown: set[str] = set()
    late: list[Delta] = []

    def show(diff: Diff) -> None:
        nonlocal shown
        assert shown.isdisjoint(diff.joined)
        assert shown.issuperset(diff.left)
        shown = (shown | set(diff.joined)) - set(diff.left)

    for user, step in script:
        if step == "toggle" and user in open_sessions:
            origin.close(open_sessions.pop(user))
        elif step == "toggle":
            sessions += 1
            open_sessions[user] = sessions
            origin.open(entry(sessions, f"u{user}"))
        elif step == "lose":
            late += origin.take_deltas()
        elif step == "publish":
            frames = origin.take_deltas() + (late if rng.random() < 0.3 else [])
            for delta in frames * 2:
                show(peer.on_delta(7, 100, delta))
        else:
            for chunk in origin.snapshot():
                show(peer.on_snapshot(7, 100, chunk))
    for delta in origin.take_deltas():
        show(peer.on_delta(7, 100, delta))
    if peer.missing(7, 100, origin.published, now=99.0) is not None:
        for chunk in origin.snapshot():
            show(peer.on_snapshot(7, 100, chunk))
    assert shown == set(peer.online) == {f"u{user}" for user in open_sessions}
