"""What happens to users whose node is killed or frozen, as desks on the other nodes see it.

A `Scene` has a desk on every node. In each round a node dies with two customers: one is gone, one
connects elsewhere within the linger. Whatever a desk was told is kept with its time, and what it
shows is worked out from that, as a page does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from signal import SIGCONT, SIGSTOP
from typing import Any, Self

from scripts.killing.online import OnlineList
from tests.clients import DESK, Event, V1Client, answer, until
from tests.processes import ClusterProcesses

MOVES_AFTER_S = 0.5  # so soon a page has found another node

SETTINGS: dict[str, Any] = {"sessions": {"agent": "many"}}  # of the cluster: desks on all nodes


class Desk(V1Client):
    """A desk that keeps the list of who is online."""

    def __init__(self) -> None:
        super().__init__(DESK)
        self.list = OnlineList()

    async def start(self, url: str) -> Self:
        """Connect to a node, and load the list."""
        await super().start(url)
        await self.list.read(url)
        return self

    def on_event(self, event: Event) -> None:
        """Keep it, and change the list."""
        super().on_event(event)
        self.list.on_event(event)


class Scene:
    """Desks and customers of a running cluster. ``survivor`` is never killed."""

    def __init__(self, cluster: ClusterProcesses, survivor: str = "n1") -> None:
        self.cluster = cluster
        self.desks: dict[str, Desk] = {}  # by node
        self.gone: list[tuple[str, float]] = []  # who died with a node, and when
        self._survivor = survivor
        self._customers: dict[str, V1Client] = {}
        self._rounds = 0

    async def start(self) -> Self:
        """Open a desk on every node, and a customer that stays where it is."""
        for name in self.cluster.nodes:
            self.desks[name] = await Desk().start(self.cluster.url_of[name])
        await self.enters("stays", self._survivor)
        await self.agrees()
        return self

    async def enters(self, user: str, node: str) -> V1Client:
        """Let a customer connect to a node, as a page that lost its connection does, too."""
        client = await V1Client(user).start(self.cluster.url_of[node])
        self._customers[user] = client
        return client

    async def leaves(self, user: str) -> None:
        """Let a customer disconnect."""
        await self._customers.pop(user).close()

    async def kill(self, victim: str) -> float:
        """Kill a node, and start it again once all desks know.

        Returns after how many seconds no desk on another node showed its users as online.
        """
        self._rounds += 1
        gone, moves = f"gone{self._rounds}", f"moves{self._rounds}"
        clients = [await self.enters(user, victim) for user in (gone, moves)]
        await self.every_desk(
            f"{gone} and {moves} online",
            lambda desk: desk.list.shown.get(gone) == desk.list.shown.get(moves) == "online",
        )
        desk = self.desks.pop(victim)
        killed_at = asyncio.get_running_loop().time()
        self.cluster.kill(victim)
        for client in (*clients, desk):
            await client.ended()
        del self._customers[gone]
        self.gone.append((gone, killed_at))
        await asyncio.sleep(MOVES_AFTER_S)
        await self.enters(moves, self._survivor)
        await self.all_told(gone, "unknown", "closed")
        self.cluster.launch(victim)
        await asyncio.to_thread(self.cluster.await_ready, victim)
        self.desks[victim] = await Desk().start(self.cluster.url_of[victim])
        return self._latest(gone, "unknown", "closed") - killed_at

    async def freeze(self, user: str, victim: str) -> float:
        """Freeze a node with a new customer, and let it go on once all desks know.

        Returns as `kill` does.
        """
        await self.enters(user, victim)
        await self.agrees()
        desk = self.desks.pop(victim)
        frozen_at = asyncio.get_running_loop().time()
        self.cluster.send(victim, SIGSTOP)
        await self.all_told(user, "unknown", "closed")
        self.cluster.send(victim, SIGCONT)
        hidden_s = self._latest(user, "unknown", "closed") - frozen_at
        self.desks[victim] = desk
        return hidden_s

    async def agrees(self) -> None:
        """Wait until every desk shows every customer who is connected as online, nobody else."""
        expected = dict.fromkeys(self._customers, "online")
        await self.every_desk(
            f"{sorted(expected)} online", lambda desk: desk.list.shown == expected
        )

    async def listed(self) -> dict[str, tuple[list[str], list[str]]]:
        """What each node says over REST: who is not offline, and who of them is unknown."""
        found = {
            name: await answer(f"{self.cluster.url_of[name]}/api/online") for name in self.desks
        }
        return {name: (one["data"], one["unknown"]) for name, one in found.items()}

    @property
    def online(self) -> list[str]:
        """The customers who are connected, in the order of names."""
        return sorted(self._customers)

    def closed_wrongly(self) -> set[str]:
        """Customers who are connected, now or again, and were told as offline meanwhile."""
        return {
            user
            for user in self._customers
            for desk in self.desks.values()
            if desk.list.told(user, "closed") is not None
        }

    def offline_after_s(self) -> list[float]:
        """After how many seconds each who died with a node was offline for the last desk."""
        return [self._latest(user, "closed") - killed_at for user, killed_at in self.gone]

    async def close(self) -> None:
        """Disconnect all."""
        for client in (*self._customers.values(), *self.desks.values()):
            await client.close()

    async def all_told(self, user: str, *lists: str) -> None:
        """Wait until every desk was told that a user is in one of these lists of an event."""
        await self.every_desk(
            f"{user} told as {lists}", lambda desk: desk.list.told(user, *lists) is not None
        )

    async def every_desk(self, what: str, condition: Callable[[Desk], bool]) -> None:
        """Wait until something is true of every desk."""
        await until(
            f"every desk: {what}",
            lambda: all(condition(desk) for desk in self.desks.values()),
            lambda: {name: desk.list.shown for name, desk in self.desks.items()},
        )

    def _latest(self, user: str, *lists: str) -> float:
        """When the last of the desks that were told was told."""
        times = (desk.list.told(user, *lists) for desk in self.desks.values())
        return max(at for at in times if at is not None)
