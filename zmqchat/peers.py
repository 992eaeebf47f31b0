"""Which nodes there are and where: the ``node`` table, read again and again.

Stands between the directory (who ever registered), the members (who lives) and the bus (whom to
hear). A node that joins is known to the others within `REFRESH_S`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Collection

from zmqchat.core.members import Members
from zmqchat.errors import StoreUnavailable
from zmqchat.mesh.bus import Bus, Peer
from zmqchat.store.ports import Directory, NodeRecord

log = logging.getLogger(__name__)

REFRESH_S = 1.0


class Peers:
    """The other nodes' records, and what follows from them.

    ``own`` is this node's record, ``listed`` the names in the configuration.
    """

    def __init__(
        self,
        directory: Directory,
        bus: Bus,
        members: Members,
        own: NodeRecord,
        listed: Collection[str],
        rng: random.Random,
    ) -> None:
        self.own = own
        self._listed = frozenset(listed)
        self._directory = directory
        self._bus = bus
        self._members = members
        self._rng = rng
        self._records: dict[int, NodeRecord] = {}
        self._soon = asyncio.Event()

    def refresh_soon(self) -> None:
        """Read the table at once, since a node came that may not be known."""
        self._soon.set()

    async def refresh(self) -> None:
        """Read the table, and follow whom it names."""
        records = await self._directory.nodes()
        self._records = {record.number: record for record in records}
        self._records.pop(self.own.number, None)
        self._bus.follow(
            Peer(record.number, record.name, record.mesh) for record in self._records.values()
        )

    async def keep_fresh(self) -> None:
        """Refresh until cancelled."""
        while True:
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.warning("cannot read who the nodes are: %s", error)
            self._soon.clear()
            try:
                async with asyncio.timeout(REFRESH_S):
                    await self._soon.wait()
            except TimeoutError:
                pass

    def name_of(self, number: int) -> str:
        """Name a node by its number; "" while it is not known."""
        if number == self.own.number:
            return self.own.name
        record = self._records.get(number)
        return "" if record is None else record.name

    def all_urls(self) -> list[str]:
        """Urls of the nodes that are listed or live, this one first.

        One that was taken from the list is not trusted for ever, though the table remembers it.
        """
        alive = self._members.alive
        known = (r for r in self._records.values() if r.name in self._listed or r.number in alive)
        return [self.own.url, *(record.url for record in known)]

    def live_urls(self) -> list[str]:
        """Urls of the nodes that live, this one first."""
        return [self.own.url, *(record.url for record in self._live())]

    def less_loaded(self, own_sessions: int) -> str:
        """Pick two live nodes at random and return the url of the one with fewer sessions.

        Two random choices spread a crowd nearly as well as knowing the least loaded one, and do
        not send all of it to the same place.
        """
        alive = self._members.alive
        loads = {record.url: alive[record.number].sessions for record in self._live()}
        loads[self.own.url] = own_sessions
        picked = self._rng.sample(list(loads), min(2, len(loads)))
        return min(picked, key=loads.__getitem__)

    def _live(self) -> list[NodeRecord]:
        return [self._records[node] for node in self._members.alive if node in self._records]
