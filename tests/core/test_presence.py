"""Presence logs: the journal of an origin, and what its peers make of it."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from zmqchat.core.journal import ENTRIES_PER_FRAME, RING_OPS, Journal
from zmqchat.core.presence import NOTHING, Diff, Presence
from zmqchat.wire.mesh import Delta, SessionEntry, Snapshot, SyncRequest


def entry(session: int, user: str, *, agent: bool = False) -> SessionEntry:
    """A session's line in a log."""
    return SessionEntry(session, user, agent)


def users(presence: Presence) -> list[str]:
    """Who is on node 7, as far as a peer knows."""
    return sorted(one.user for one in presence.sessions(7))


def told(peer: Presence, frame: Delta | Snapshot) -> Diff:
    """Let a peer take a frame of node 7's life 100."""
    if isinstance(frame, Delta):
        return peer.on_delta(7, 100, frame)
    return peer.on_snapshot(7, 100, frame)


def request(peer: Presence) -> SyncRequest:
    """What a peer asks node 7 for."""
    return SyncRequest(100, *peer.version(7))


def knows(peer: Presence, origin: Journal) -> bool:
    """Whether a peer that hears a beat of the origin misses nothing."""
    return peer.knows(7, 100, origin.version, origin.hash)


def test_a_delta_is_applied_once() -> None:
    """The second copy, as two forwarders bring it, changes nothing."""
    origin, peer = Journal(), Presence()
    origin.open(entry(1, "u1"))
    (delta,) = origin.take_deltas()
    assert told(peer, delta) == Diff([entry(1, "u1")], [])
    assert told(peer, delta) == NOTHING
    assert knows(peer, origin)
    assert peer.version(7) == (1, origin.hash)


def test_a_delta_that_does_not_fit_is_a_gap() -> None:
    """It is not applied; the origin answers with what is missing, and with nothing else."""
    origin, peer = Journal(), Presence()
    for number in range(3):
        origin.open(entry(number, f"u{number}"))
        lost = origin.take_deltas()
    assert told(peer, lost[-1]) == NOTHING
    assert not knows(peer, origin)
    told(peer, Delta(0, 1, [entry(0, "u0")], []))
    (answer,) = origin.answer(request(peer))
    assert isinstance(answer, Delta)
    assert (answer.from_version, answer.to_version) == (1, 3)
    assert told(peer, answer).opened == [entry(1, "u1"), entry(2, "u2")]
    assert knows(peer, origin)
    assert origin.answer(request(peer)) == ()


def test_who_came_and_went_between_two_deltas_is_in_none() -> None:
    """The version still counts both, and a later answer tells only the net change."""
    origin, peer = Journal(), Presence()
    origin.open(entry(1, "u1"))
    origin.close(1)
    (delta,) = origin.take_deltas()
    assert (delta.to_version, delta.opened, delta.closed) == (2, [], [])
    origin.open(entry(2, "u2"))
    origin.take_deltas()
    origin.close(2)
    origin.take_deltas()
    (answer,) = origin.answer(request(peer))
    assert isinstance(answer, Delta)
    assert (answer.opened, answer.closed) == ([], [])
    assert told(peer, answer) == NOTHING
    assert knows(peer, origin)
    assert peer.version(7) == (4, 0)


def test_what_the_ring_no_longer_holds_is_a_snapshot() -> None:
    """Who misses more than is kept gets the whole log, and only the difference comes out."""
    origin, peer = Journal(), Presence()
    origin.open(entry(1, "stays"))
    origin.open(entry(2, "goes"))
    for delta in origin.take_deltas():
        told(peer, delta)
    origin.close(2)
    for number in range(RING_OPS // 2):
        origin.open(entry(1000 + number, "short"))
        origin.close(1000 + number)
    origin.open(entry(3, "comes"))
    origin.take_deltas()  # lost
    (chunk,) = origin.answer(request(peer))
    assert isinstance(chunk, Snapshot)
    assert told(peer, chunk) == Diff([entry(3, "comes")], [entry(2, "goes")])
    assert told(peer, chunk) == NOTHING
    assert users(peer) == ["comes", "stays"]


def test_another_log_at_the_same_version_is_mended() -> None:
    """An equal version with another hash is found out, and the whole log is sent."""
    origin, peer = Journal(), Presence()
    origin.open(entry(1, "u1"))
    (delta,) = origin.take_deltas()
    told(peer, Delta(0, 1, [entry(1, "somebody else")], [], delta.hash))
    assert not knows(peer, origin)
    (chunk,) = origin.answer(request(peer))
    assert isinstance(chunk, Snapshot)
    told(peer, chunk)
    assert users(peer) == ["u1"]
    assert knows(peer, origin)


def test_a_snapshot_is_applied_when_all_chunks_are_there_in_any_order() -> None:
    """A large log comes in chunks; half of one is nobody."""
    origin, peer = Journal(), Presence()
    for number in range(2 * ENTRIES_PER_FRAME + 1):
        origin.open(entry(number, f"u{number}"))
    deltas = origin.take_deltas()
    assert [len(delta.opened) for delta in deltas] == [1000, 1000, 1]
    chunks = list(origin.snapshot())
    assert len(chunks) == 3
    random.Random(1).shuffle(chunks)
    assert told(peer, chunks[0]) == NOTHING
    assert told(peer, chunks[1]) == NOTHING
    assert len(told(peer, chunks[2]).opened) == 2001
    assert knows(peer, origin)


def test_a_chunk_past_the_end_is_ignored() -> None:
    """A snapshot that says it has one chunk has no second."""
    peer = Presence()
    assert told(peer, Snapshot(5, 1, 1, [entry(1, "u1")])) == NOTHING
    assert users(peer) == []


def test_a_snapshot_speaks_of_what_was_published() -> None:
    """A session that no delta has told yet is in the next delta, not in the snapshot."""
    origin, peer = Journal(), Presence()
    origin.open(entry(1, "u1"))
    origin.take_deltas()
    origin.open(entry(2, "u2"))
    origin.close(1)
    for chunk in origin.snapshot():
        told(peer, chunk)
    assert users(peer) == ["u1"]
    assert knows(peer, origin)
    for delta in origin.take_deltas():
        told(peer, delta)
    assert users(peer) == ["u2"]


def test_a_new_life_begins_with_nothing() -> None:
    """What the older one left is handed out when it is dropped, and its versions mean nothing."""
    origin, peer = Journal(), Presence()
    origin.open(entry(1, "u1"))
    for delta in origin.take_deltas():
        told(peer, delta)
    assert peer.drop(7) == [entry(1, "u1")]
    assert peer.drop(7) == []
    assert peer.knows(7, 200, 0, 0)
    assert not peer.knows(7, 200, 1, 99)
    assert peer.on_delta(7, 200, Delta(0, 1, [entry(1, "u2")], [])).opened == [entry(1, "u2")]


steps = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["toggle", "toggle", "toggle", "publish", "lose", "late", "ask", "whole"]),
    ),
    max_size=80,
)


@given(steps, st.randoms(use_true_random=False))
def test_a_peer_is_its_origin_as_of_the_version_it_knows(
    script: list[tuple[int, str]], rng: random.Random
) -> None:
    """Whatever is lost, doubled, late or out of order, what a peer has is what was there then.

    The trivial reference is a list of the whole log at each version; an answer to the last
    question brings the peer to the newest.
    """
    origin, peer = Journal(), Presence()
    reference: list[dict[int, SessionEntry]] = [{}]
    open_sessions: dict[int, int] = {}
    late: list[Delta | Snapshot] = []
    shown: dict[int, SessionEntry] = {}

    def give(frame: Delta | Snapshot) -> None:
        version = peer.version(7)[0]
        diff = told(peer, frame)
        for one in diff.closed:
            assert shown.pop(one.session) == one
        for one in diff.opened:
            assert shown.setdefault(one.session, one) is one
        assert peer.version(7)[0] >= version
        assert shown == reference[peer.version(7)[0]]
        assert list(peer.sessions(7)) == [] or set(shown) == {
            one.session for one in peer.sessions(7)
        }

    for user, step in script:
        if step == "toggle":
            log = dict(reference[-1])
            if user in open_sessions:
                session = open_sessions.pop(user)
                origin.close(session)
                del log[session]
            else:
                session = open_sessions[user] = len(reference)
                log[session] = entry(session, f"u{user}")
                origin.open(log[session])
            reference.append(log)
        elif step == "lose":
            late += origin.take_deltas()
        elif step == "publish":
            for delta in origin.take_deltas() * 2:
                give(delta)
        elif step == "late":
            late += [*origin.snapshot(), *origin.answer(request(peer))]
            rng.shuffle(late)
            for frame in late[:5]:
                give(frame)
        else:
            asked = request(peer) if step == "ask" else SyncRequest(100, 0, 1)
            for frame in origin.answer(asked):
                give(frame)
    origin.take_deltas()
    for frame in origin.answer(request(peer)):
        give(frame)
    assert knows(peer, origin)
    assert shown == reference[-1]
