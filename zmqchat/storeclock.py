"""The database's clock, as a node reckons it: measured now and then, told without asking.

What a client is told of the time it gives back later to ask what has changed since, perhaps to
another node: so it must be the clock by which changes are stamped, and not this node's own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from zmqchat.errors import StoreUnavailable
from zmqchat.store.ports import Messages

log = logging.getLogger(__name__)

MEASURE_EVERY_S = 60.0  # clocks of machines drift by some milliseconds in that time


class StoreClock:
    """Knows by how much the database's clock is ahead of ``wall_ms``, milliseconds since 1970."""

    def __init__(self, messages: Messages, wall_ms: Callable[[], int]) -> None:
        self._messages = messages
        self._wall_ms = wall_ms
        self._ahead_ms = 0

    def now_ms(self) -> int:
        """Tell the time in the database, milliseconds since 1970."""
        return self._wall_ms() + self._ahead_ms

    async def measure(self) -> None:
        """Ask the database; where it does not answer the last measurement stays."""
        asked_ms = self._wall_ms()
        try:
            told_ms = await self._messages.time_ms()
        except StoreUnavailable as error:
            log.warning("cannot read the database's clock: %s", error)
        else:
            self._ahead_ms = told_ms - (asked_ms + self._wall_ms()) // 2

    async def keep_measuring(self) -> None:
        """Measure until cancelled."""
        while True:
            await asyncio.sleep(MEASURE_EVERY_S)
            await self.measure()
