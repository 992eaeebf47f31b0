"""One node after the other is restarted under customers and desks that stay.

Half of the customers have pages of version 1, half those of the original. A desk is on every
node, and moves as they do. Whatever a desk shows is looked at as soon as it shows it.
"""

from __future__ import annotations

import asyncio
import random
from typing import NamedTuple

from scripts.restarting.stayers import ORIGINAL, V1, Stayer, StayingDesk
from tests.clients import until
from tests.processes import ClusterProcesses

LINGER_S = 5.0
AT_ONCE = 20  # clients that connect at the same time in the beginning
POLL_S = 0.05


class Rolled(NamedTuple):
    """What came out: seconds from each loss of a socket to the next connection, and mistakes.

    A mistake is that a desk did not show customers who were connected, or gone for no longer than
    users linger.
    """

    outages_s: list[float]
    mistakes: list[str]


class Crowd:
    """Customers and desks spread over the nodes of a cluster."""

    def __init__(self, cluster: ClusterProcesses, customers: int, seed: int = 1) -> None:
        self._cluster = cluster
        self._rng = random.Random(seed)
        self._mistakes: list[str] = []
        self._watched = False
        self._customers = {
            user: Stayer(user, self._urls, self._rng, V1 if number % 2 else ORIGINAL)
            for number in range(customers)
            for user in [f"u{number:03}"]
        }
        self._desks = [StayingDesk(self._urls, self._rng, self._look) for _ in cluster.nodes]

    async def start(self) -> None:
        """Connect everybody, and wait until every desk shows all customers."""
        urls = self._urls()
        for desk, url in zip(self._desks, urls, strict=True):
            await desk.start(url)
        customers = list(self._customers.values())
        for first in range(0, len(customers), AT_ONCE):
            some = enumerate(customers[first : first + AT_ONCE], first)
            await asyncio.gather(*(one.start(urls[i % len(urls)]) for i, one in some))
        await self._agrees()
        self._watched = True

    async def roll(self) -> Rolled:
        """Restart each node in turn, when all clients of the one before are connected again."""
        for name in self._cluster.nodes:
            await asyncio.to_thread(self._cluster.stop, name)
            await self._all_back(f"after {name} stopped")
            self._cluster.launch(name)
            await asyncio.to_thread(self._cluster.await_ready, name)
        await self._agrees()
        return Rolled([s for one in self._all for s in one.outages_s], self._mistakes)

    async def stop(self) -> None:
        """Disconnect everybody."""
        self._watched = False
        await asyncio.gather(*(one.stop() for one in self._all))

    @property
    def _all(self) -> list[Stayer]:
        return [*self._customers.values(), *self._desks]

    def _urls(self) -> list[str]:
        return self._cluster.urls

    def _look(self, desk: StayingDesk) -> None:
        """Note who should be shown and is not."""
        if not self._watched:
            return
        now = asyncio.get_running_loop().time()
        shown = desk.list.shown
        missing = [
            user
            for user, customer in self._customers.items()
            if user not in shown and customer.gone_for_s(now) <= LINGER_S
        ]
        if missing:
            self._mistakes.append(f"a desk shows {len(shown)}, without {', '.join(missing)}")

    async def _all_back(self, when: str) -> None:
        await until(
            f"everybody back {when}",
            lambda: all(one.lost_at is None for one in self._all),
            lambda: [one.user for one in self._all if one.lost_at is not None],
        )

    async def _agrees(self) -> None:
        expected = dict.fromkeys(self._customers, "online")
        await until(
            f"{len(expected)} customers online at every desk",
            lambda: all(desk.list.shown == expected for desk in self._desks),
            lambda: [len(desk.list.shown) for desk in self._desks],
        )
