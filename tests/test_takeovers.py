"""Two nodes that share a database and a bus: who may stay when a user logs in again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.clients import until
from zmqchat.config import SessionRules
from zmqchat.core.sessions import Session
from zmqchat.errors import CloseCode
from zmqchat.mesh.bus import Peer
from zmqchat.mesh.memory import MemoryBus, MemoryNetwork, first
from zmqchat.store.database import Store
from zmqchat.takeovers import Takeovers
from zmqchat.wire.mesh import Chat, Codec, Control, Header, Takeover

SECRET = b"s" * 32
TOLD = 3  # how often a login is told


class Client:
    """A session with what it was told, and how it was closed."""

    def __init__(self, number: int, user: str, *, agent: bool = True) -> None:
        self.events: list[dict[str, Any]] = []
        self.closed: list[CloseCode] = []
        self.proof: str | None = None
        self.session = Session(
            number,
            user,
            agent=agent,
            v1=True,
            wake=self._take,
            drain=self._take,
            end=self.closed.append,
        )

    def _take(self) -> None:
        piece = self.session.outbox.take()
        self.events.append(json.loads(piece[2:]))

    async def ends(self, *codes: CloseCode) -> None:
        """Wait until it was closed with these codes."""
        await until(f"{codes}", lambda: self.closed == list(codes), lambda: self.closed)


class Half:
    """One of the two nodes."""

    def __init__(self, store: Store, bus: MemoryBus, takeovers: Takeovers) -> None:
        self.store = store
        self.bus = bus
        self.takeovers = takeovers
        self.heard: list[Takeover] = []
        self._sessions = 0

    async def log_in(
        self, user: str = "Ann", proof: str | None = None, *, agent: bool = True
    ) -> Client:
        """Open a session."""
        self._sessions += 1
        client = Client(self._sessions, user, agent=agent)
        client.proof = await self.takeovers.log_in(client.session, proof)
        return client

    def on_chat(self, header: Header, chat: Chat) -> None:
        """Nobody chats here."""

    def on_control(self, header: Header, control: Control) -> None:
        """Take a frame of the other."""
        assert isinstance(control, Takeover)
        self.heard.append(control)
        self.takeovers.on_takeover(header, control)

    def on_link(self, node: int, *, up: bool, refused: bool = False) -> None:
        """Nobody asks who lives here."""

    def on_knock(self) -> None:
        """Follow whom the test names, and nobody else."""

    def on_forwarders(self, *, up: bool) -> None:
        """Never called: the bus has none."""


@contextlib.asynccontextmanager
async def two_nodes(
    folder: Path, *, audit_s: float = 60.0, customer: str = "many"
) -> AsyncIterator[tuple[Half, Half, MemoryNetwork]]:
    """Two nodes that hear each other, n1 and n2."""
    network = MemoryNetwork()
    halves = []
    rules = SessionRules(customer="one" if customer == "one" else "many")
    for number in (1, 2):
        store = Store.open(f"sqlite:///{folder}/chat.db", asyncio.get_running_loop())
        record = await store.register(f"n{number}", http="h:1", url="http://h:1", mesh="")
        bus = network.bus(Codec("test", number, record.incarnation))
        takeovers = Takeovers(
            store,
            bus,
            record,
            rules,
            SECRET,
            name_of=lambda number: f"n{number}",
            wall_ms=lambda: 0,
            audit_s=audit_s,
        )
        halves.append(Half(store, bus, takeovers))
    for half in halves:
        half.bus.start(half)
        half.bus.follow(Peer(i + 1, f"n{i + 1}", halves[i].bus.endpoint) for i in range(2))
    audits = [asyncio.ensure_future(half.takeovers.keep_auditing()) for half in halves]
    try:
        yield halves[0], halves[1], network
    finally:
        for audit in audits:
            audit.cancel()
        await asyncio.gather(*audits, return_exceptions=True)
        for half in halves:
            await half.takeovers.stop()
            await half.store.close()
            half.bus.close()


def test_an_older_session_elsewhere_is_told_once_and_closed(tmp_path: Path) -> None:
    """Where the user logged in stands in the event; the repeated news changes nothing."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            old = await here.log_in()
            new = await there.log_in()
            await old.ends(CloseCode.LOGGED_IN_ELSEWHERE)
            await until("all news", lambda: len(here.heard) == TOLD, lambda: here.heard)
            told = {"node": "n2", "createTime": "1970-01-01T00:00:00.000Z"}
            assert old.events == [{"key": 4, "data": told}]
            assert old.closed == [CloseCode.LOGGED_IN_ELSEWHERE]
            assert (new.events, new.closed) == ([], [])
            assert there.heard == []  # a first login is no news

    asyncio.run(main())


def test_lost_news_is_repeated(tmp_path: Path) -> None:
    """The first two frames of a login may be lost."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, network):
            old = await here.log_in()
            network.drop(2, 1, first(2))
            await there.log_in()
            await old.ends(CloseCode.LOGGED_IN_ELSEWHERE)
            assert len(here.heard) == 1

    asyncio.run(main())


def test_what_no_frame_told_is_found_in_the_database(tmp_path: Path) -> None:
    """A node that hears nothing looks for newer logins again and again, and when it is asked to."""

    async def main() -> None:
        async with two_nodes(tmp_path, audit_s=0.05) as (here, there, network):
            network.drop(2, 1, lambda _frame: True)
            old, other = await here.log_in(), await here.log_in("Bob")
            await there.log_in()
            await old.ends(CloseCode.LOGGED_IN_ELSEWHERE)
            assert old.events[0]["data"]["node"] == "n2"
            assert (other.closed, here.heard) == ([], [])
        async with two_nodes(tmp_path) as (here, there, network):
            network.drop(2, 1, lambda _frame: True)
            old = await here.log_in()
            await there.log_in()
            here.takeovers.audit_soon()
            await old.ends(CloseCode.LOGGED_IN_ELSEWHERE)

    asyncio.run(main())


def test_a_page_that_comes_back_takes_nothing_over(tmp_path: Path) -> None:
    """Its older session closes without a word, here as there, however often it comes back."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            one = await here.log_in()
            two = await there.log_in(proof=one.proof)
            await one.ends(CloseCode.NORMAL)
            three = await there.log_in(proof=two.proof)
            await two.ends(CloseCode.NORMAL)
            four = await here.log_in(proof=one.proof)  # the answer with the newer one was lost
            await three.ends(CloseCode.NORMAL)
            assert (four.closed, four.session.login_epoch) == ([], 4)
            assert [client.events for client in (one, two, three, four)] == [[]] * 4

    asyncio.run(main())


def test_a_page_that_was_replaced_while_it_was_away_stays_out(tmp_path: Path) -> None:
    """It missed the news, comes back by itself, and is told; without its proof it gets in."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            away = await here.log_in()
            here.takeovers.close(away.session)
            newer = await there.log_in()
            back = await here.log_in(proof=away.proof)
            assert back.closed == [CloseCode.LOGGED_IN_ELSEWHERE]
            assert back.events[0]["data"]["node"] == "n2"
            assert back.proof is None
            assert newer.closed == []
            used_here = await here.log_in()
            await newer.ends(CloseCode.LOGGED_IN_ELSEWHERE)
            assert used_here.closed == []

    asyncio.run(main())


def test_a_proof_of_somebody_else_proves_nothing(tmp_path: Path) -> None:
    """It is a login like any other, and takes over."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            ann, bob = await here.log_in(), await here.log_in("Bob")
            await there.log_in("Bob", ann.proof)
            await bob.ends(CloseCode.LOGGED_IN_ELSEWHERE)

    asyncio.run(main())


def test_who_may_have_many_sessions_keeps_them_all(tmp_path: Path) -> None:
    """No login is taken, no proof given, and nothing is told."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            clients = [await half.log_in("u1", agent=False) for half in (here, there, here)]
            assert [client.proof for client in clients] == [None] * 3
            assert [client.session.login_epoch for client in clients] == [None] * 3
            assert await here.store.newest_logins(["u1"]) == []

    asyncio.run(main())


def test_customers_may_be_limited_to_one(tmp_path: Path) -> None:
    """Each role has a rule of its own."""

    async def main() -> None:
        async with two_nodes(tmp_path, customer="one") as (here, there, _):
            old = await here.log_in("u1", agent=False)
            await there.log_in("u1", agent=False)
            await old.ends(CloseCode.LOGGED_IN_ELSEWHERE)

    asyncio.run(main())


def test_logins_of_the_same_moment_leave_one(tmp_path: Path) -> None:
    """Twenty at once, next door and elsewhere: the last one stays."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            clients = await asyncio.gather(
                *(half.log_in() for half in (here, there) for _ in range(10))
            )
            newest = max(clients, key=lambda client: client.session.login_epoch or 0)
            for client in clients:
                if client is not newest:
                    await client.ends(CloseCode.LOGGED_IN_ELSEWHERE)
                    assert [event["key"] for event in client.events] == [4]
            assert newest.closed == []

    asyncio.run(main())
