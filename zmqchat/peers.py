"""Which nodes there are and where: the ``node`` table, read again and again.

Stands between the directory (who ever registered), the members (who lives) and the bus (whom to
hear). A node that joins is known to the others within `REFRESH_S`, and sooner if it is noticed
otherwise. One that left is marked in the table by itself, and one that was not heard of for
`FORGET_AFTER_S` by the others; should it live after all, it takes the mark away.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterator

from zmqchat.core.members import FORGET_AFTER_S, Life, Members
from zmqchat.errors import StoreUnavailable
from zmqchat.mesh.bus import Bus, Peer
from zmqchat.store.ports import Directory, NodeRecord
from zmqchat.wire.mesh import Header, State

log = logging.getLogger(__name__)

REFRESH_S = 1.0
LEAST_REFRESH_S = 0.05  # however many nodes come


class Peers:
    """The other nodes' records, and what follows from them.

    ``own`` is this node's record, ``state`` tells how it is, ``now`` the monotonic time in seconds;
    ``listed`` are the names in the configuration.
    """

    def __init__(
        self,
        directory: Directory,
        bus: Bus,
        members: Members,
        own: NodeRecord,
        listed: Collection[str],
        *,
        rng: random.Random,
        state: Callable[[], State],
        now: Callable[[], float],
    ) -> None:
        self.own = own
        self._listed = frozenset(listed)
        self._directory = directory
        self._bus = bus
        self._members = members
        self._rng = rng
        self._state = state
        self._now = now
        self._records: dict[int, NodeRecord] = {}
        self._unheard: dict[tuple[int, int], float] = {}  # lives, and since when
        self._soon = asyncio.Event()

    def refresh_soon(self) -> None:
        """Read the table at once, since a node came that may not be known."""
        self._soon.set()

    async def refresh(self) -> None:
        """Read the table, and follow whom it names."""
        records = {record.number: record for record in await self._directory.nodes()}
        own = records.pop(self.own.number, None)
        self._records = records
        self._bus.follow(Peer(one.number, one.name, one.mesh) for one in self._present())
        if own is not None and self._is_wrongly_gone(own):
            await self._directory.announce(own.number, http=self.own.http, mesh=self._bus.endpoint)
        await self._forget(self._now())

    async def leave(self) -> None:
        """Mark this node as one that has left."""
        try:
            await self._directory.leave(self.own.number, self.own.incarnation)
        except StoreUnavailable as error:
            log.warning("cannot tell the database that this node leaves: %s", error)

    def expected(self) -> list[int]:
        """Numbers of the nodes that are likely to live, heard or not."""
        members = self._members
        return [
            record.number
            for record in self._records.values()
            if record.http
            and ((one := members.get(record.number)) is None or one.life is not Life.DOWN)
        ]

    def _is_wrongly_gone(self, row: NodeRecord) -> bool:
        this_life = row.incarnation == self.own.incarnation
        return this_life and not row.http and self._state() in (State.JOINING, State.UP)

    def _present(self) -> Iterator[NodeRecord]:
        """Yield the nodes that have not left, or have not said goodbye yet."""
        for record in self._records.values():
            if record.http or self._members.get(record.number) is not None:
                yield record

    async def _forget(self, now: float) -> None:
        """Mark nodes that nobody here has heard of for long."""
        silent = [
            (record.number, record.incarnation)
            for record in self._records.values()
            if record.http and self._members.get(record.number) is None
        ]
        self._unheard = {life: self._unheard.get(life, now) for life in silent}
        for life, since in self._unheard.items():
            if now >= since + FORGET_AFTER_S:
                await self._directory.leave(*life)

    async def keep_fresh(self) -> None:
        """Refresh until cancelled."""
        while True:
            self._soon.clear()
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.warning("cannot read who the nodes are: %s", error)
            await asyncio.sleep(LEAST_REFRESH_S)
            try:
                async with asyncio.timeout(REFRESH_S - LEAST_REFRESH_S):
                    await self._soon.wait()
            except TimeoutError:
                pass

    def knows(self, header: Header) -> bool:
        """Whether the life that sent a frame was read of in the table."""
        record = self._records.get(header.node)
        return record is not None and record.incarnation >= header.incarnation

    def name_of(self, number: int) -> str:
        """Name a node by its number; while it is not known, by that alone."""
        if number == self.own.number:
            return self.own.name
        record = self._records.get(number)
        return f"node {number}" if record is None else record.name

    def all_urls(self) -> list[str]:
        """Urls of the nodes that are listed or live, this one first.

        One that was taken from the list is not trusted for ever, though the table remembers it.
        """
        alive = self._members.alive
        known = (r for r in self._records.values() if r.name in self._listed or r.number in alive)
        return [self.own.url, *(record.url for record in known)]

    def live_urls(self) -> list[str]:
        """Urls of the nodes that live, this one first."""
        return [self.own.url, *(record.url for record, _ in self._live())]

    def less_loaded(self, own_sessions: int) -> str:
        """Pick two live nodes at random and return the url of the one with fewer sessions.

        Two random choices spread a crowd nearly as well as knowing the least loaded one, and do
        not send all of it to the same place.
        """
        loads = {record.url: sessions for record, sessions in self._live()}
        if self._state() is State.UP or not loads:
            loads[self.own.url] = own_sessions
        picked = self._rng.sample(list(loads), min(2, len(loads)))
        return min(picked, key=loads.__getitem__)

    def elsewhere(self) -> NodeRecord | None:
        """Pick a live node for a session of this one, which leaves; None if there is no other."""
        live = [record for record, _ in self._live()]
        return self._rng.choice(live) if live else None

    def _live(self) -> list[tuple[NodeRecord, int]]:
        """List the nodes that take sessions, each with how many it has."""
        return [
            (self._records[node], member.sessions)
            for node, member in self._members.alive.items()
            if node in self._records and member.life is Life.ALIVE and member.state is State.UP
        ]
