"""The list of nodes: who is expected, who is followed, and who is marked as gone."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from zmqchat.core.members import FORGET_AFTER_S, Members
from zmqchat.mesh.bus import Bus, Peer
from zmqchat.mesh.memory import MemoryBus, MemoryNetwork
from zmqchat.peers import Peers
from zmqchat.store.database import Store
from zmqchat.store.ports import NodeRecord
from zmqchat.wire.mesh import Beat, Codec, State


class FollowingBus(MemoryBus):
    """A bus that tells whom it follows."""

    names: frozenset[str] = frozenset()

    def follow(self, peers: Iterable[Peer]) -> None:
        """Keep the names."""
        self.names = frozenset(peer.name for peer in peers)


class Place:
    """A store with the nodes n1, whose list is looked at, and n2; time stands still."""

    def __init__(self, store: Store, own: NodeRecord, other: NodeRecord) -> None:
        self.store = store
        self.own = own
        self.other = other
        self.now = 0.0
        self.state = State.UP
        self.members = Members()
        self.bus: Bus = FollowingBus(MemoryNetwork(), Codec("c", own.number, 1), "memory://own")
        self.peers = Peers(
            store,
            self.bus,
            self.members,
            own,
            ["n1", "n2"],
            rng=random.Random(1),
            state=lambda: self.state,
            now=lambda: self.now,
        )

    @property
    def followed(self) -> frozenset[str]:
        """Names of those the bus hears."""
        assert isinstance(self.bus, FollowingBus)
        return self.bus.names

    def hear(self, state: State, number: int) -> None:
        """Hear a beat of n2."""
        beat = Beat(500, number, 0, 0, state, 0)
        self.members.on_beat(self.other.number, self.other.incarnation, beat, self.now)

    async def http_of(self, number: int) -> str:
        """What the table says where a node listens."""
        return {one.number: one.http for one in await self.store.nodes()}[number]


@contextlib.asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    """Open a database with two nodes."""
    url = f"sqlite:///{folder}/chat.db"
    store = await asyncio.to_thread(Store.open, url, asyncio.get_running_loop())
    try:
        other = await store.register("n2", http="h:2", url="http://h:2", mesh="memory://n2")
        own = await store.register("n1", http="h:1", url="http://h:1", mesh="")
        yield Place(store, own, other)
    finally:
        await store.close()


def test_who_left_is_neither_expected_nor_followed_once_it_said_goodbye(tmp_path: Path) -> None:
    """Its last frames are still heard; a node that comes later does not know it at all."""

    async def main() -> None:
        async with place(tmp_path) as one:
            await one.peers.refresh()
            assert one.peers.expected() == [one.other.number]
            one.hear(State.DRAINING, 1)
            await one.store.leave(one.other.number, one.other.incarnation)
            await one.peers.refresh()
            assert one.peers.expected() == []
            assert one.followed == {"n2"}
            one.hear(State.LEAVING, 2)
            await one.peers.refresh()
            assert one.followed == frozenset()

    asyncio.run(main())


def test_who_is_not_heard_of_for_long_is_marked_as_gone(tmp_path: Path) -> None:
    """Ten minutes after it was first missed; who is heard in between is not."""

    async def main() -> None:
        async with place(tmp_path) as one:
            await one.peers.refresh()
            one.now = FORGET_AFTER_S - 1
            await one.peers.refresh()
            assert await one.http_of(one.other.number) == "h:2"
            one.hear(State.UP, 1)
            one.now = FORGET_AFTER_S
            await one.peers.refresh()
            assert await one.http_of(one.other.number) == "h:2"
            one.hear(State.LEAVING, 2)
            for now in (one.now, one.now + FORGET_AFTER_S):
                one.now = now
                await one.peers.refresh()
            assert await one.http_of(one.other.number) == ""

    asyncio.run(main())


def test_who_is_marked_as_gone_and_lives_takes_the_mark_away(tmp_path: Path) -> None:
    """Others may have taken it for dead, behind a net that was cut; but not when it leaves."""

    async def main() -> None:
        async with place(tmp_path) as one:
            await one.store.leave(one.own.number, one.own.incarnation)
            await one.peers.refresh()
            assert await one.http_of(one.own.number) == "h:1"
            one.state = State.DRAINING
            await one.peers.leave()
            await one.peers.refresh()
            assert await one.http_of(one.own.number) == ""

    asyncio.run(main())
