"""Two nodes without sockets: two stores on one database, and a bus that can lose between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.clients import DESK, until
from zmqchat.core.sessions import Session
from zmqchat.delivery import Delivery
from zmqchat.errors import CloseCode
from zmqchat.mesh.bus import Peer
from zmqchat.mesh.memory import MemoryBus, MemoryNetwork
from zmqchat.recovery import Recovery
from zmqchat.store.database import Store
from zmqchat.store.ports import NodeRecord
from zmqchat.tasks import Tasks
from zmqchat.wire.client import Send
from zmqchat.wire.mesh import Chat, Codec, Control, Header

NUMBERS = (1, 2)


class Client:
    """A session that keeps its events; like a socket it takes them once a turn of the loop."""

    def __init__(self, number: int, user: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.ended_with: CloseCode | None = None
        self.session = Session(
            number,
            user,
            agent=user == DESK,
            v1=True,
            wake=self._wake,
            drain=lambda: None,
            end=self._end,
        )

    def _wake(self) -> None:
        asyncio.get_running_loop().call_soon(self._take)

    def _end(self, code: CloseCode) -> None:
        self.ended_with = code

    def _take(self) -> None:
        piece = self.session.outbox.take()
        while piece:
            size, start = piece[1], 2
            if size == 126:
                size, start = int.from_bytes(piece[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(piece[2:10], "big"), 10
            self.events.append(json.loads(piece[start : start + size]))
            piece = piece[start + size :]

    def texts(self) -> list[str]:
        """The messages it was given, in order."""
        return [event["data"]["msg"] for event in self.events if event["key"] == 3]

    async def shows(self, texts: list[str]) -> None:
        """Wait until it was given these messages."""
        await until(f"{texts}", lambda: self.texts() == texts, self.texts)


class Half:
    """One of the two nodes: a store and a bus with delivery between them."""

    def __init__(self, store: Store, bus: MemoryBus, record: NodeRecord) -> None:
        loop = asyncio.get_running_loop()
        self.store = store
        self.bus = bus
        self.delivery = Delivery(store, bus, DESK, now=loop.time)
        self.deaf = False
        self.recovery = Recovery(
            store,
            self.delivery.following,
            now=loop.time,
            deaf=lambda: self.deaf,
            rng=random.Random(1),
        )
        self._record = record
        self._tasks = Tasks()
        self._sessions = 0

    def audit(self) -> None:
        """Begin to audit the database."""
        self._tasks.spawn(self.recovery.keep_auditing())

    def take_beat(self, other: Half) -> None:
        """Learn from the other's beat how many chat frames it has published."""
        record = other._record
        self.recovery.on_told(record.number, record.incarnation, other.bus.chat_oseq)

    async def close(self) -> None:
        """End all that runs."""
        await self._tasks.cancel()
        await self.delivery.following.close()
        await self.store.close()
        self.bus.close()

    async def open(self, user: str) -> Client:
        """Open a session of a user."""
        self._sessions += 1
        client = Client(self._sessions, user)
        await self.delivery.open(client.session)
        return client

    async def say(self, client: Client, text: str, client_id: str | None = None) -> None:
        """Send a message of a customer and wait until it is stored."""
        before = self.store.counts.stored + self.store.counts.duplicates
        self.delivery.send(client.session, Send(text, client.session.user, DESK, client_id))
        counts = self.store.counts
        await until("stored", lambda: counts.stored + counts.duplicates > before, lambda: text)

    def on_chat(self, header: Header, chat: Chat) -> None:
        """Take a frame of the other."""
        self.recovery.on_frame(header.node, header.incarnation, header.oseq)
        self.delivery.on_chat(chat)

    def on_control(self, header: Header, control: Control) -> None:
        """Nothing gossips here."""

    def on_link(self, node: int, *, up: bool, refused: bool = False) -> None:
        """Nobody asks who lives here."""

    def on_knock(self) -> None:
        """Follow whom the test names, and nobody else."""

    def on_forwarders(self, *, up: bool) -> None:
        """Never called: the bus has none."""


@contextlib.asynccontextmanager
async def two_nodes(folder: Path) -> AsyncIterator[tuple[Half, Half, MemoryNetwork]]:
    """Two nodes that hear each other."""
    network = MemoryNetwork()
    loop = asyncio.get_running_loop()
    halves = []
    for number in NUMBERS:
        store = Store.open(f"sqlite:///{folder}/chat.db", loop)
        record = await store.register(f"n{number}", http="h:1", url="http://h:1", mesh="")
        bus = network.bus(Codec("test", number, record.incarnation))
        halves.append(Half(store, bus, record))
    for half in halves:
        half.bus.start(half)
        half.bus.follow(Peer(i + 1, f"n{i + 1}", halves[i].bus.endpoint) for i in range(2))
    try:
        yield halves[0], halves[1], network
    finally:
        for half in halves:
            await half.close()
            half.bus.close()
