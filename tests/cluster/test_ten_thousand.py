"""Nothing lost, nothing twice, all in order: 10,000 messages across four nodes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from pathlib import Path

import pytest

from tests.clients import DESK, Event, V1Client, until
from tests.processes import ClusterProcesses

pytestmark = pytest.mark.cluster

CUSTOMERS = 6
MESSAGES_EACH = 1250  # from each customer
ANSWERED = 3  # the desk answers every third
ANSWERS = CUSTOMERS * len(range(0, MESSAGES_EACH, ANSWERED))
IN_FLIGHT = 20


class Talker(V1Client):
    """Writes its texts, a few in flight, the next when one comes back."""

    def __init__(self, user: str) -> None:
        super().__init__(user)
        self.room = asyncio.Semaphore(IN_FLIGHT)

    def on_event(self, event: Event) -> None:
        """Keep it; an own message that came back makes room."""
        super().on_event(event)
        if event["key"] == 3 and event["data"]["sender"] == self.user:
            self.room.release()

    async def talk(self) -> None:
        """Write everything."""
        for number in range(MESSAGES_EACH):
            await self.room.acquire()
            await self.say(f"{self.user} {number}", client_id=f"c{number}")


class Desk(V1Client):
    """Answers every third message of each customer."""

    def __init__(self) -> None:
        super().__init__(DESK)
        self.answers = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def on_event(self, event: Event) -> None:
        """Keep it, and answer."""
        super().on_event(event)
        data = event.get("data", {})
        if (
            event["key"] == 3
            and data["sender"] != DESK
            and int(data["msg"].split()[1]) % ANSWERED == 0
        ):
            self.answers += 1
            task = asyncio.get_running_loop().create_task(
                self.say(f"re {data['msg']}", to=data["sender"], client_id=f"a{data['id']}")
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


def _by_conversation(events: list[Event]) -> dict[str, list[tuple[int, str]]]:
    seen: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for event in events:
        seen[event["data"]["conversation"]].append((event["data"]["seq"], event["data"]["msg"]))
    return seen


def _stored(database: Path) -> dict[str, list[tuple[int, str]]]:
    connection = sqlite3.connect(database)
    rows = connection.execute(
        "SELECT customer, seq, msg FROM message JOIN conversation"
        " ON conversation.id = message.conversation_id ORDER BY customer, seq"
    ).fetchall()
    connection.close()
    stored: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for customer, seq, text in rows:
        stored[customer].append((seq, text))
    return stored


async def _exchange(urls: list[str]) -> tuple[Desk, list[Talker], int]:
    desk = await Desk().start(urls[3])
    users = [f"u{number}" for number in range(CUSTOMERS)]
    customers = [await Talker(user).start(urls[i % 3]) for i, user in enumerate(users)]
    await asyncio.gather(*(customer.talk() for customer in customers))
    total = CUSTOMERS * MESSAGES_EACH + ANSWERS
    await until(
        "the desk saw every message",
        lambda: len(desk.of(3)) >= total,
        lambda: (len(desk.of(3)), desk.answers),
    )
    await until(
        "the customers saw every message of theirs",
        lambda: sum(len(customer.of(3)) for customer in customers) >= total,
        lambda: [len(customer.of(3)) for customer in customers],
    )
    await until(
        "every message was acknowledged",
        lambda: sum(len(client.of(5)) for client in [desk, *customers]) >= total,
        lambda: [len(client.of(5)) for client in [desk, *customers]],
    )
    for client in [desk, *customers]:
        await client.close()
    return desk, customers, total


@pytest.mark.parametrize(("topology", "forwarders"), [("direct", 0), ("forwarder", 2)])
def test_ten_thousand_messages(tmp_path: Path, topology: str, forwarders: int) -> None:
    """What the clients saw is what the database has: every seq from 1, once, in order."""
    with ClusterProcesses(tmp_path, nodes=4, topology=topology, forwarders=forwarders) as cluster:
        desk, customers, total = asyncio.run(_exchange(cluster.urls))
        database = cluster.database
    assert total >= 10_000
    stored = _stored(database)
    assert sum(map(len, stored.values())) == total
    for rows in stored.values():
        assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
    assert dict(_by_conversation(desk.of(3))) == dict(stored)
    for customer in customers:
        assert dict(_by_conversation(customer.of(3))) == {customer.user: stored[customer.user]}
        own = [text for _, text in stored[customer.user] if not text.startswith("re ")]
        assert own == [f"{customer.user} {number}" for number in range(MESSAGES_EACH)]
        assert not customer.of(6)
    assert not desk.of(6)
    acknowledged = [event["data"] for client in [desk, *customers] for event in client.of(5)]
    assert len({data["id"] for data in acknowledged}) == total
    assert not any(data["duplicate"] for data in acknowledged)
