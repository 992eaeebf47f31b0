"""What every bus promises, whatever carries the frames."""

from __future__ import annotations

import asyncio
import collections
import gc
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import until
from tests.contract.buses import CLUSTER, KINDS, KINDS_WITH_KEYS, Mesh, Node, beat, chat, request
from zmqchat.mesh.bus import DRAIN_LIMIT
from zmqchat.wire.mesh import (
    COMPRESS_OVER_BYTES,
    MAX_FRAME_BYTES,
    Codec,
    Delta,
    Probe,
    SyncRequest,
    Takeover,
)


@pytest.fixture(params=KINDS)
def mesh(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """A mesh of each kind in turn."""
    with (KINDS | KINDS_WITH_KEYS)[request.param]() as mesh:
        try:
            yield mesh
        finally:
            mesh.close()


# For what encryption could change: frames that are cut or mixed up, links that do not come about
# or come late, and what is closed.
with_keys_too = pytest.mark.parametrize("mesh", [*KINDS, *KINDS_WITH_KEYS], indirect=True)


async def _met(mesh: Mesh, *numbers: int) -> list[Node]:
    nodes = [mesh.join(number).start() for number in numbers]
    await mesh.meet(*nodes)
    return nodes


@with_keys_too
def test_frames_of_an_origin_and_class_arrive_in_order_and_whole(mesh: Mesh) -> None:
    """Two nodes publish at once; a third gets all of each in the order published."""

    async def main() -> None:
        a, b, c = await _met(mesh, 1, 2, 3)
        for number in range(500):
            for node in (a, b):
                node.bus.publish_chat(chat(number, b"%d " % number * 20))
                node.bus.publish_control(beat(number))
        for node in (a, b):
            await c.gets_beat(node, 499)
            await c.gets_chat(node, 500)
            assert c.sink.beat_numbers(node.number) == list(range(500))
            assert c.sink.chat_numbers(node.number) == list(range(500))
        assert all(event.body == b"%d " % event.seq * 20 for _, event in c.sink.chats)
        await until(
            "every copy",
            lambda: len(c.sink.chats) == 1000 * mesh.copies,
            lambda: len(c.sink.chats),
        )

    asyncio.run(main())


def test_a_frame_comes_as_often_as_there_are_ways(mesh: Mesh) -> None:
    """Duplicates are not removed: through two forwarders every frame arrives twice."""

    async def main() -> None:
        a, b = await _met(mesh, 1, 2)
        a.bus.publish_chat(chat(7))
        a.bus.publish_control(beat(7))
        await until(
            "all copies",
            lambda: len(b.sink.chats) == len(b.sink.controls) == mesh.copies,
            lambda: (b.sink.chats, b.sink.controls),
        )

    asyncio.run(main())


def test_own_frames_never_come_back(mesh: Mesh) -> None:
    """A node hears the answer of another to its own frames, and never those."""

    async def main() -> None:
        a, b = await _met(mesh, 1, 2)
        a.bus.publish_chat(chat(1))
        a.bus.publish_control(beat(1))
        await b.gets_chat(a, 1)
        await b.gets_beat(a, 1)
        b.bus.publish_chat(chat(2))
        b.bus.publish_control(beat(2))
        await a.gets_chat(b, 1)
        await a.gets_beat(b, 2)
        assert a.sink.chat_numbers(1) == a.sink.beat_numbers(1) == []

    asyncio.run(main())


@with_keys_too
def test_a_frame_for_one_node_reaches_no_other(mesh: Mesh) -> None:
    """What is for node 1 does not reach node 10, though the names begin alike."""

    async def main() -> None:
        one, ten, sender = await _met(mesh, 1, 10, 2)
        sender.bus.publish_control(request(1), to_node=1)
        sender.bus.publish_control(request(10), to_node=10)
        sender.bus.publish_control(beat(1))  # comes after both in its class
        for node in (one, ten):
            await node.gets_beat(sender, 1)
            asked = {c.have_version for _, c in node.sink.controls if isinstance(c, SyncRequest)}
            assert asked == {node.number}

    asyncio.run(main())


def test_news_for_everybody_reaches_everybody(mesh: Mesh) -> None:
    """Beats, presence and logins, each under a topic of its own."""

    async def main() -> None:
        news = (beat(1), Delta(1, 2, [], [7]), Takeover("u1", 3, "s"))
        sender, *others = await _met(mesh, 1, 2, 10)
        for control in (*news, beat(2)):  # the last one comes after the others in its class
            sender.bus.publish_control(control)
        for node in others:
            await node.gets_beat(sender, 2)
            heard = [control for _, control in node.sink.controls]
            assert all(control in heard for control in news), heard

    asyncio.run(main())


@with_keys_too
def test_a_node_that_joins_late_hears_and_is_heard(mesh: Mesh) -> None:
    """A third node comes while two talk; nobody misses what is published once it is in."""

    async def main() -> None:
        a, b = await _met(mesh, 1, 2)
        a.bus.publish_chat(chat(1))
        await b.gets_chat(a, 1)
        late = mesh.join(3).start()
        await mesh.meet(a, b, late)
        a.bus.publish_chat(chat(2))
        late.bus.publish_chat(chat(3))
        await late.gets_chat(a, 1)
        for node in (a, b):
            await node.gets_chat(late, 1)
        assert late.sink.chat_numbers(1) == [2]
        await b.gets_chat(a, 2)

    asyncio.run(main())


def test_a_peer_that_is_not_followed_is_not_heard(mesh: Mesh) -> None:
    """Unfollowed, a peer is silent; followed again, it is heard. Forwarders bring all anyway."""

    async def main() -> None:
        a, b, c = await _met(mesh, 1, 2, 3)
        b.bus.follow([c.peer])
        for number in range(100):
            a.bus.publish_chat(chat(number))
        if not mesh.follows:
            await b.gets_chat(a, 100)
            return
        await c.gets_chat(a, 100)
        c.bus.publish_chat(chat(1))
        await b.gets_chat(c, 1)
        await mesh.meet(a, b, c)
        a.bus.publish_chat(chat(500))
        await b.gets_chat(a, 1)
        assert b.sink.chat_numbers(1) == [500]

    asyncio.run(main())


@with_keys_too
def test_a_peer_that_moved_is_heard_at_its_new_place(mesh: Mesh) -> None:
    """A node dies and comes back as another life at another endpoint."""

    async def main() -> None:
        a, b = await _met(mesh, 1, 2)
        a.bus.close()
        a = mesh.join(1).start()
        await mesh.meet(a, b)
        a.bus.publish_chat(chat(1))
        await b.gets_chat(a, 1)

    asyncio.run(main())


@with_keys_too
def test_large_frames_are_compressed_and_arrive_whole(mesh: Mesh) -> None:
    """At the threshold, above it, and at the limit, with bytes that do and do not compress."""
    rng = random.Random(1)
    bodies = [
        b"x" * COMPRESS_OVER_BYTES,
        b"x" * (COMPRESS_OVER_BYTES + 1),
        rng.randbytes(COMPRESS_OVER_BYTES + 1),
        b"x" * MAX_FRAME_BYTES,
        rng.randbytes(MAX_FRAME_BYTES),
    ]

    async def main() -> None:
        a, b = await _met(mesh, 1, 2)
        for number, body in enumerate(bodies):
            a.bus.publish_chat(chat(number, body))
        await b.gets_chat(a, len(bodies))
        assert all(event.body == bodies[event.seq] for _, event in b.sink.chats)

    asyncio.run(main())


def test_a_body_past_the_limit_is_refused_and_uses_no_number(mesh: Mesh) -> None:
    """Too large is an error at the sender; the next frame takes the number, and is counted."""

    async def main() -> None:
        a, b = await _met(mesh, 1, 2)
        newest, sent = a.bus.chat_oseq, a.bus.counts.sent
        with pytest.raises(ValueError, match=f"{MAX_FRAME_BYTES + 1} bytes exceeds"):
            a.bus.publish_chat(chat(1, b"x" * (MAX_FRAME_BYTES + 1)))
        a.bus.publish_chat(chat(2))
        await b.gets_chat(a, 1)
        assert b.sink.chat_numbers(1) == [2]
        assert (a.bus.chat_oseq, a.bus.counts.sent) == (newest + 1, sent + 1)

    asyncio.run(main())


@with_keys_too
def test_hostile_frames_are_counted_by_reason_and_dropped(mesh: Mesh) -> None:
    """Bytes of every bad kind reach a node; its sink gets none, and a peer is heard on."""
    good = Codec(CLUSTER, 7, 1).encode_chat(chat(1))
    flagged_as_compressed = good[:4] + b"\x01" + good[5:]
    hostile = {
        "truncated": b"m/" + bytes(10),
        "version": b"m/" + b"\xff" + good[3:],
        "cluster": Codec("another", 7, 1).encode_chat(chat(1)),
        "type": good[:3] + b"\x63" + good[4:],
        "malformed": flagged_as_compressed,
        "too_large": good + bytes(MAX_FRAME_BYTES),
    }

    async def main() -> None:
        a, b = await _met(mesh, 1, 2)
        stranger = mesh.stranger()
        b.bus.follow([a.peer, *([stranger.peer] if stranger.peer else [])])

        def all_counted() -> bool:
            for frame in hostile.values():
                stranger.send(frame, b)
            return set(b.bus.counts.dropped) == set(hostile)

        await until("every reason", all_counted, lambda: b.bus.counts.dropped)
        a.bus.publish_chat(chat(1))
        await b.gets_chat(a, 1)
        assert {node for node, _ in b.sink.chats} == {1}
        assert b.bus.counts.broken_links == 0

    asyncio.run(main())


def test_a_burst_of_chat_does_not_delay_a_beat(mesh: Mesh) -> None:
    """A beat sent behind 2,000 chats overtakes them at a receiver that is slow to take them."""

    async def main() -> None:
        a, b = await _met(mesh, 1, 2)
        b.sink.on_event = lambda: time.sleep(0.0002)
        for number in range(2000):
            a.bus.publish_chat(chat(number))
        a.bus.publish_control(beat(1))
        await b.gets_beat(a, 1)
        assert len(b.sink.chat_numbers(1)) < 1500

    asyncio.run(main())


def test_a_probe_may_go_the_way_of_chat(mesh: Mesh) -> None:
    """It reaches the one it is for, behind the chats that were published before it."""

    async def main() -> None:
        sender, one, ten = await _met(mesh, 2, 1, 10)
        one.sink.on_event = lambda: time.sleep(0.0002)
        for number in range(1000):
            sender.bus.publish_chat(chat(number))
        probe = Probe(7, with_chat=True)
        sender.bus.publish_control(probe, to_node=1)
        await until("the probe", lambda: (2, probe) in one.sink.controls, lambda: one.sink.controls)
        assert len(one.sink.chat_numbers(2)) == 1000
        sender.bus.publish_chat(chat(1000))
        await ten.gets_chat(sender, 1001)
        assert ten.sink.controls == []

    asyncio.run(main())


def test_publishing_never_waits_and_early_frames_wait(mesh: Mesh) -> None:
    """Nobody reads 30,000 frames: the sender goes on, and the first are handed out at the start."""

    async def main() -> None:
        a, b = await _met(mesh, 1, 2)
        deaf = mesh.join(3)
        deaf.bus.follow([a.peer])
        for _ in range(10):  # its links are up within a few tries, and it cannot say so
            a.warm_up()
            await asyncio.sleep(0.02)
        before = a.bus.counts.sent
        for number in range(30_000):
            a.bus.publish_chat(chat(number))
        assert a.bus.counts.sent == before + 30_000
        deaf.start()
        await deaf.gets_chat(a, 1000)
        numbers = deaf.sink.chat_numbers(1)
        assert numbers == sorted(numbers)
        assert numbers[0] == 0

        def heard_again() -> bool:
            a.bus.publish_chat(chat(30_001))
            return all(node.sink.chats[-1][1].seq == 30_001 for node in (deaf, b))

        await until("the newest", heard_again, lambda: (deaf.sink.chats[-1], b.sink.chats[-1]))

    asyncio.run(main())


def test_other_work_gets_its_turn_between_frames(mesh: Mesh) -> None:
    """In one round of the loop at most `DRAIN_LIMIT` frames of a class are taken."""

    async def main() -> None:
        a, b = await _met(mesh, 1, 2)
        rounds: list[int] = [0]
        b.sink.on_event = lambda: rounds.__setitem__(-1, rounds[-1] + 1)
        for number in range(2000):
            a.bus.publish_chat(chat(number))
        time.sleep(0.2)  # noqa: ASYNC251 - so that all of them wait when the loop turns again
        while len(b.sink.chat_numbers(1)) < 2000:
            await asyncio.sleep(0)
            rounds.append(0)
        assert max(rounds) <= DRAIN_LIMIT
        assert max(rounds) > 1

    asyncio.run(main())


@with_keys_too
def test_close_sends_what_is_queued(mesh: Mesh) -> None:
    """A node publishes and closes in the same breath; everything arrives."""

    async def main() -> None:
        a, b = await _met(mesh, 1, 2)
        for number in range(1000):
            a.bus.publish_chat(chat(number, bytes(1000)))
        a.bus.close()
        await b.gets_chat(a, 1000)

    asyncio.run(main())


@with_keys_too
def test_close_releases_every_socket_and_thread(mesh: Mesh) -> None:
    """Three nodes that talked, one that nobody answers, and one never started leave nothing."""
    gc.collect()  # what earlier tests left to it
    before = _held()

    async def main() -> None:
        nodes = await _met(mesh, 1, 2, 3)
        lonely = mesh.join(4).start()
        lonely.bus.follow([nodes[0].peer._replace(mesh="tcp://127.0.0.1:20001")])
        lonely.bus.publish_chat(chat(1))
        for node in (*nodes, lonely, mesh.join(5)):
            began = time.monotonic()
            node.bus.close()
            node.bus.close()  # a second time is one time too many, and harmless
            assert time.monotonic() - began < 2

    asyncio.run(main())
    left = _held() - before
    assert not left


def _held() -> collections.Counter[str]:
    """Count open descriptors and threads of this process, those of libraries too."""
    return collections.Counter(
        {kind: len(list(Path("/proc/self", kind).iterdir())) for kind in ("fd", "task")}
    )
