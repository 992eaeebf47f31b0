"""What a fault may touch, and what a fault is.

A fault breaks something, waits, and mends it again. It returns what it broke, in words, or raises
`Taken` if others have hold of that.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from scripts.faulting.history import History
from scripts.faulting.people import Customer
from scripts.faulting.site import Site


class Scene(NamedTuple):
    """What a fault may touch, and chance."""

    site: Site
    history: History
    customers: Sequence[Customer]
    burst: int  # messages of each customer at once
    rng: random.Random

    async def pause(self, least_s: float, most_s: float) -> None:
        """Leave things as they are for a while."""
        await asyncio.sleep(self.rng.uniform(least_s, most_s))

    def some_node(self) -> contextlib.AbstractContextManager[str]:
        """Claim a node; another one is left alone."""
        return self.site.claim(self.rng, self.site.cluster.nodes, leave=1)

    def some_forwarder(self) -> contextlib.AbstractContextManager[str]:
        """Claim a forwarder; it may be the last one."""
        return self.site.claim(self.rng, self.site.cluster.forwarders)


Fault = Callable[[Scene], Awaitable[str]]
