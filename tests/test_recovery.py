"""What was stored but never heard of, between two nodes over a bus that loses."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import zmqchat.recovery
from tests.clients import DESK, until
from tests.two_nodes import Client, Half, two_nodes
from zmqchat.errors import StoreUnavailable
from zmqchat.mesh.memory import MemoryNetwork, first

NEVER_S = 3600.0


@pytest.fixture
def rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """No audit comes by itself, so that what asks for one must do its work."""
    monkeypatch.setattr(zmqchat.recovery, "AUDIT_S", NEVER_S)


def audited(folder: Path, story: Callable[[Half, Half, MemoryNetwork], Awaitable[None]]) -> None:
    """Run a story of two nodes, the second of which audits."""

    async def main() -> None:
        async with two_nodes(folder) as (here, there, network):
            there.audit()
            await story(here, there, network)

    asyncio.run(main())


async def shows_within(client: Client, texts: list[str], seconds: float) -> None:
    """Fail unless a client is given these messages in that time."""
    async with asyncio.timeout(seconds):
        await client.shows(texts)


def run_sql(folder: Path, sql: str) -> None:
    """Change the database behind everybody's back."""
    with contextlib.closing(sqlite3.connect(folder / "chat.db", isolation_level=None)) as database:
        database.execute(sql)


async def known(here: Half, there: Half) -> None:
    """Let the second node get over the first word of the first one, which asks for an audit."""
    there.take_beat(here)
    arrivals = there.recovery.arrivals
    await until("the origin is known", lambda: arrivals.next_due == math.inf, lambda: arrivals)


@pytest.mark.usefixtures("rarely")
def test_a_lost_last_message_is_found_by_the_beat(tmp_path: Path) -> None:
    """Nothing follows it in the conversation, but its origin tells how many frames there are."""

    async def story(here: Half, there: Half, network: MemoryNetwork) -> None:
        customer, desk = await here.open("u1"), await there.open(DESK)
        await here.say(customer, "one")
        await desk.shows(["one"])
        await known(here, there)
        network.drop(1, 2, first(1))
        await here.say(customer, "two")
        there.take_beat(here)
        await shows_within(desk, ["one", "two"], 0.5)

    audited(tmp_path, story)


@pytest.mark.usefixtures("rarely")
def test_a_lost_message_is_found_by_that_of_another_conversation(tmp_path: Path) -> None:
    """The next frame of the same origin is enough, whoever it is for."""

    async def story(here: Half, there: Half, network: MemoryNetwork) -> None:
        phone, other = await here.open("u1"), await here.open("u2")
        laptop = await there.open("u1")
        await here.say(phone, "one")
        await laptop.shows(["one"])
        await known(here, there)
        network.drop(1, 2, first(1))
        await here.say(phone, "two")
        await here.say(other, "not for the laptop")
        await shows_within(laptop, ["one", "two"], 0.5)

    audited(tmp_path, story)


@pytest.mark.usefixtures("rarely")
def test_a_conversation_that_was_never_heard_of_is_found(tmp_path: Path) -> None:
    """An agent is given a customer's first message though its frame was lost, and no older ones."""

    async def story(here: Half, there: Half, network: MemoryNetwork) -> None:
        old, new = await here.open("old"), await here.open("new")
        await here.say(old, "before the agent came")
        await asyncio.sleep(0.005)  # the clock of createTime counts milliseconds
        desk = await there.open(DESK)
        await known(here, there)
        network.drop(1, 2, first(1))
        await here.say(new, "first")
        there.take_beat(here)
        await shows_within(desk, ["first"], 0.5)

    audited(tmp_path, story)


def test_what_nobody_tells_of_is_found_by_the_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that stored a message and died says no more; the database is asked all the same."""
    monkeypatch.setattr(zmqchat.recovery, "AUDIT_S", 0.2)

    async def story(here: Half, there: Half, network: MemoryNetwork) -> None:
        customer, desk = await here.open("u1"), await there.open(DESK)
        network.cut(1, 2)
        await here.say(customer, "one")
        await shows_within(desk, ["one"], 2.0)

    audited(tmp_path, story)


@pytest.mark.usefixtures("rarely")
def test_with_no_link_at_all_messages_come_through_the_database(tmp_path: Path) -> None:
    """A node that hears nobody asks twice a second, and stops when it hears again."""

    async def story(here: Half, there: Half, network: MemoryNetwork) -> None:
        customer, desk = await here.open("u1"), await there.open(DESK)
        network.cut(1, 2)
        there.deaf = True
        there.recovery.audit_soon()
        await here.say(customer, "one")
        await shows_within(desk, ["one"], 1.0)
        await here.say(customer, "two")
        await shows_within(desk, ["one", "two"], 1.0)
        there.deaf = False
        network.heal(1, 2)
        await here.say(customer, "three")
        await shows_within(desk, ["one", "two", "three"], 1.0)

    audited(tmp_path, story)


@pytest.mark.usefixtures("rarely")
def test_an_audit_that_found_something_comes_again_soon(tmp_path: Path) -> None:
    """A link that loses without anybody's knowledge costs half a second, not five."""

    async def story(here: Half, there: Half, network: MemoryNetwork) -> None:
        customer, desk = await here.open("u1"), await there.open(DESK)
        network.cut(1, 2)
        await here.say(customer, "one")
        there.recovery.audit_soon()
        await shows_within(desk, ["one"], 1.0)
        await here.say(customer, "two")
        await shows_within(desk, ["one", "two"], 1.5)

    audited(tmp_path, story)


@pytest.mark.usefixtures("rarely")
def test_a_database_that_is_away_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written while no audit could be made is found by the first one that can."""

    async def story(here: Half, there: Half, network: MemoryNetwork) -> None:
        customer, desk = await here.open("u1"), await there.open(DESK)
        network.cut(1, 2)
        asked = 0
        changed = there.store.changed

        async def away(*_: object) -> Any:
            nonlocal asked
            asked += 1
            raise StoreUnavailable("away")

        monkeypatch.setattr(there.store, "changed", away)
        there.deaf = True
        there.recovery.audit_soon()
        await here.say(customer, "one")
        await until("it was asked twice", lambda: asked >= 2, lambda: asked)
        monkeypatch.setattr(there.store, "changed", changed)
        await shows_within(desk, ["one"], 1.5)

    audited(tmp_path, story)


@pytest.mark.usefixtures("rarely")
def test_rows_that_are_gone_stop_no_conversation(tmp_path: Path) -> None:
    """The head tells of messages that were deleted since: what is left is delivered."""

    async def story(here: Half, there: Half, network: MemoryNetwork) -> None:
        customer, desk = await here.open("u1"), await there.open(DESK)
        await here.say(customer, "one")
        await desk.shows(["one"])
        await known(here, there)
        network.cut(1, 2)
        for text in ("two", "three", "four"):
            await here.say(customer, text)
        run_sql(tmp_path, "DELETE FROM message WHERE seq IN (2, 4)")
        there.recovery.audit_soon()
        await shows_within(desk, ["one", "three"], 1.0)
        network.heal(1, 2)
        await here.say(customer, "five")
        await shows_within(desk, ["one", "three", "five"], 1.0)

    audited(tmp_path, story)


@pytest.mark.usefixtures("rarely")
def test_long_messages_that_were_missed_come_in_pieces(tmp_path: Path) -> None:
    """Three times what an outbox holds reaches a client that reads, all of it and in order."""

    async def story(here: Half, there: Half, network: MemoryNetwork) -> None:
        customer, desk = await here.open("u1"), await there.open(DESK)
        await here.say(customer, "0")
        await desk.shows(["0"])
        network.cut(1, 2)
        texts = [f"{n} {'x' * 60_000}" for n in range(50)]
        for text in texts:
            await here.say(customer, text)
        there.recovery.audit_soon()
        await until("all came", lambda: len(desk.texts()) == 51, lambda: len(desk.texts()))
        assert desk.texts() == ["0", *texts]
        assert desk.ended_with is None

    audited(tmp_path, story)


@pytest.mark.usefixtures("rarely")
def test_more_than_one_page_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages follow each other by their stamps, also where one stamp fills more than a page."""
    monkeypatch.setattr(zmqchat.recovery, "ROWS_AT_ONCE", 2)

    async def story(here: Half, there: Half, network: MemoryNetwork) -> None:
        desk = await there.open(DESK)
        network.cut(1, 2)
        customers = [await here.open(f"u{n}") for n in range(12)]
        for customer in customers[:6]:
            await here.say(customer, customer.session.user)
        await asyncio.gather(*(here.say(each, each.session.user) for each in customers[6:]))
        there.recovery.audit_soon()
        await until("all came", lambda: len(desk.texts()) == 12, desk.texts)
        assert sorted(desk.texts()) == sorted(each.session.user for each in customers)

    audited(tmp_path, story)


def test_a_conversation_that_is_followed_is_looked_up_whatever_its_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that took longer than an audit looks back is found in the end."""
    monkeypatch.setattr(zmqchat.recovery, "AUDIT_S", 0.1)
    monkeypatch.setattr(zmqchat.recovery, "STATES_AN_AUDIT", 1)

    async def story(here: Half, there: Half, network: MemoryNetwork) -> None:
        phone = await here.open("u3")
        sessions = [await there.open(user) for user in ("u1", "u2", "u3", "u4")]
        network.cut(1, 2)
        await here.say(phone, "late")
        run_sql(tmp_path, "UPDATE conversation SET updated_at = 5")
        await shows_within(sessions[2], ["late"], 2.0)

    audited(tmp_path, story)


@pytest.mark.usefixtures("rarely")
def test_a_node_without_sessions_asks_nothing(tmp_path: Path) -> None:
    """Nobody here wants anything, so the database is left alone; who comes begins at the head."""

    async def story(here: Half, there: Half, network: MemoryNetwork) -> None:
        customer = await here.open("u1")
        there.deaf = True
        there.recovery.audit_soon()
        await here.say(customer, "one")
        assert there.recovery.audits == 0
        network.cut(1, 2)
        laptop = await there.open("u1")
        await here.say(customer, "two")
        await shows_within(laptop, ["two"], 1.5)

    audited(tmp_path, story)


@pytest.mark.usefixtures("rarely")
def test_an_agent_who_left_long_ago_makes_no_audit_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes to an idle node wants what is written from then on, not since that agent came."""

    async def story(_: Half, there: Half, __: MemoryNetwork) -> None:
        there.delivery.close((await there.open(DESK)).session)
        there.delivery.following._agents_since_ms -= 3_600_000
        asked: list[int] = []
        changed = there.store.changed

        async def watched(since_ms: int, limit: int) -> Any:
            asked.append(since_ms)
            return await changed(since_ms, limit)

        monkeypatch.setattr(there.store, "changed", watched)
        await there.open("u1")
        there.recovery.audit_soon()
        await until("an audit", lambda: bool(asked), lambda: asked)
        assert await there.store.time_ms() - asked[0] < 60_000

    audited(tmp_path, story)
