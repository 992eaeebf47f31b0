"""The gossip of real event loops, over the bus in memory and over ZeroMQ."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from tests.clients import until
from zmqchat.core.members import Turn
from zmqchat.core.roster import Change, Shown
from zmqchat.core.sessions import Session
from zmqchat.gossip import Gossip
from zmqchat.mesh.bus import Bus, Peer
from zmqchat.mesh.memory import MemoryNetwork
from zmqchat.mesh.zeromq import DirectBus
from zmqchat.wire.mesh import Chat, Codec, Control, Header

USERS = 1500  # more than one frame holds


class Node:
    """A bus and the gossip on it."""

    def __init__(self, number: int, bus: Bus) -> None:
        self.number = number
        self.bus = bus
        self.changes: list[Change] = []
        self.turns: list[tuple[Turn, int]] = []
        self.gossip = Gossip(
            bus,
            number,
            100,
            rng=random.Random(number),
            changed=self.changes.append,
            news=lambda turn, node: self.turns.append((turn, node)),
        )

    def on_chat(self, header: Header, chat: Chat) -> None:
        """Never called: nobody chats here."""
        raise NotImplementedError

    def on_control(self, header: Header, control: Control) -> None:
        """Hand a frame on."""
        self.gossip.on_control(header, control)

    def on_link(self, node: int, *, up: bool, refused: bool = False) -> None:
        """Hand on what became of a link."""
        self.gossip.on_link(node, up=up, refused=refused)

    def on_knock(self) -> None:
        """Follow whom the test names, and nobody else."""

    def on_forwarders(self, *, up: bool) -> None:
        """Hand on what became of the links to forwarders."""
        self.gossip.on_forwarders(up=up)

    def open(self, number: int, user: str) -> Session:
        """Open a session."""
        session = Session(
            number,
            user,
            agent=False,
            v1=True,
            wake=lambda: None,
            drain=lambda: None,
            end=lambda _: None,
        )
        self.gossip.open(session)
        return session

    def shows(self, user: str) -> Shown:
        """What a user is to this node."""
        return self.gossip.roster.users.get(user, Shown.OFFLINE)


def start(*nodes: Node) -> None:
    """Let nodes hear each other, and beat."""
    peers = [Peer(node.number, f"n{node.number}", node.bus.endpoint) for node in nodes]
    for node in nodes:
        node.bus.start(node)
        node.bus.follow(peer for peer in peers if peer.node != node.number)
    for node in nodes:
        node.gossip.start()


def close(*nodes: Node) -> None:
    """Let nodes say goodbye, and close their buses."""
    for node in nodes:
        node.gossip.stop()
    for node in nodes:
        node.bus.close()


def _in_memory() -> Callable[[int], Bus]:
    network = MemoryNetwork()
    return lambda number: network.bus(Codec("c", number, 100))


def _over_zeromq() -> Callable[[int], Bus]:
    return lambda number: DirectBus(Codec("c", number, 100), "tcp://127.0.0.1:0")


def test_a_newcomer_learns_of_those_who_were_there_before_it() -> None:
    """A log of more than one frame is asked for and arrives whole; and a reload is no news."""

    async def main() -> None:
        make = _over_zeromq()
        first = Node(1, make(1))
        sessions = [first.open(number, f"u{number}") for number in range(USERS)]
        first.gossip.start()
        await asyncio.sleep(0)
        second = Node(2, make(2))
        start(first, second)
        users = second.gossip.roster.users
        await until("all are known", lambda: len(users) == USERS, lambda: len(users))
        first.gossip.close(sessions[0])
        first.open(USERS, "u0")
        first.open(USERS + 1, "marker")
        await until("the marker", lambda: second.shows("marker") is Shown.ONLINE, lambda: users)
        await until("it is told", lambda: len(second.changes) >= 1, lambda: second.changes)
        assert [user for change in second.changes for user in change.closed] == []
        close(first, second)

    asyncio.run(main())


def test_a_node_that_is_cut_off_is_doubted_and_comes_back() -> None:
    """Its users are unknown to the others until it is heard again; a broken link tells at once."""

    async def main() -> None:
        network = MemoryNetwork()
        nodes = [Node(number, network.bus(Codec("c", number, 100))) for number in (1, 2)]
        start(*nodes)
        first, second = nodes
        first.open(1, "u1")
        await until("online", lambda: second.shows("u1") is Shown.ONLINE, lambda: second.changes)
        network.cut(1, 2)
        second.gossip.on_link(1, up=False)
        assert second.shows("u1") is Shown.UNKNOWN
        network.heal(1, 2)
        second.gossip.on_link(1, up=True)
        await until("back", lambda: second.shows("u1") is Shown.ONLINE, lambda: second.turns)
        assert second.turns == [(Turn.CAME, 1), (Turn.SUSPECT, 1), (Turn.BACK, 1)]
        close(*nodes)

    asyncio.run(main())


def test_without_forwarders_others_are_unknown() -> None:
    """And online again as soon as one is back and they beat."""

    async def main() -> None:
        make = _in_memory()
        first, second = Node(1, make(1)), Node(2, make(2))
        start(first, second)
        first.open(1, "u1")
        await until("online", lambda: second.shows("u1") is Shown.ONLINE, lambda: second.changes)
        second.gossip.on_forwarders(up=False)
        assert second.shows("u1") is Shown.UNKNOWN
        second.gossip.on_forwarders(up=True)
        await until("back", lambda: second.shows("u1") is Shown.ONLINE, lambda: second.turns)
        close(first, second)

    asyncio.run(main())


def test_who_says_goodbye_is_gone_at_once_and_is_silent() -> None:
    """Nothing is published after the last word, whatever still arrives."""

    async def main() -> None:
        make = _in_memory()
        first, second = Node(1, make(1)), Node(2, make(2))
        start(first, second)
        session = first.open(1, "u1")
        await until("both", lambda: (Turn.CAME, 1) in second.turns, lambda: second.turns)
        await until("both", lambda: (Turn.CAME, 2) in first.turns, lambda: first.turns)
        first.gossip.drain()
        first.gossip.stop()
        await until("it left", lambda: (Turn.LEFT, 1) in second.turns, lambda: second.turns)
        sent = first.bus.counts.sent
        second.open(1, "u2")
        first.gossip.close(session)
        await until("told", lambda: bool(second.changes), lambda: second.changes)
        assert first.bus.counts.sent == sent
        assert second.gossip.members.alive == {}
        second.gossip.stop()
        first.bus.close()
        second.bus.close()

    asyncio.run(main())
