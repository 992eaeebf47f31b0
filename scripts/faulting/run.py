"""One run: pages write and read while things break, then everything is mended and judged.

Faults begin ``every_s``, whether or not those before are over, so several may be at work at once.
Which come, what they break and for how long follows from the seed; what the cluster makes of it
does not.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from scripts.faulting.checker import Verdict, check
from scripts.faulting.faults import FAULTS
from scripts.faulting.history import History
from scripts.faulting.page import Page
from scripts.faulting.people import Customer, Desk
from scripts.faulting.scene import Scene
from scripts.faulting.site import Site, Taken

READY_S = 30.0  # for all pages to be connected
QUIET_S = 60.0  # for everybody to have everything when nothing is broken any more
POLL_S = 0.2
TRIES = 5  # of finding a fault whose victims are free


class Plan(NamedTuple):
    """What a run is to be like; ``faults`` are names of `FAULTS`."""

    seed: int
    seconds: float
    every_s: float = 5.0
    customers: int = 60
    burst: int = 200
    faults: Sequence[str] = tuple(FAULTS)


class Broken(NamedTuple):
    """A fault that happened; times in seconds of the event loop's clock."""

    fault: str
    victim: str
    began: float
    ended: float


class Outcome(NamedTuple):
    """What came out of a run."""

    plan: Plan
    history: History
    verdict: Verdict
    broken: list[Broken]
    caught_up_s: float | None  # after the last fault was mended; None: not within `QUIET_S`
    began: float

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return self.verdict.clean and self.caught_up_s is not None


class Run:
    """A run on a site that has started."""

    def __init__(self, site: Site, plan: Plan) -> None:
        self.history = History()
        self._site = site
        self._plan = plan
        self._broken: list[Broken] = []
        chance = random.Random(f"pages {plan.seed}")

        def rng() -> random.Random:
            return random.Random(chance.random())

        self._desk = Desk(self.history, site.urls, rng())
        self._customers = [
            Customer(f"u{number:02}", self.history, site.urls, rng())
            for number in range(1, plan.customers + 1)
        ]
        self._pages: list[Page] = [self._desk, *self._customers]

    async def outcome(self) -> Outcome:
        """Run to the end, and judge."""
        now = asyncio.get_running_loop().time
        began = now()
        async with asyncio.TaskGroup() as group:
            staying = [group.create_task(page.stay_connected()) for page in self._pages]
            await _until(self._all_settled, READY_S)
            writing = [group.create_task(page.write()) for page in self._customers]
            async with asyncio.TaskGroup() as faults:
                await self._break_things(faults)
                # The last messages are written while something is broken still.
                for task in writing:
                    task.cancel()
                self._desk.answering = False
            mended = now()
            caught_up = await _until(self._all_shown, QUIET_S)
            caught_up_s = now() - mended if caught_up else None
            for task in staying:
                task.cancel()
        rows = await asyncio.to_thread(self._site.database.rows)
        verdict = check(self.history, rows)
        return Outcome(self._plan, self.history, verdict, self._broken, caught_up_s, began)

    async def _break_things(self, faults: asyncio.TaskGroup) -> None:
        """Begin faults until the time is over."""
        scene = Scene(
            self._site,
            self.history,
            self._customers,
            self._plan.burst,
            random.Random(f"faults {self._plan.seed}"),
        )
        loop = asyncio.get_running_loop()
        over = loop.time() + self._plan.seconds
        while loop.time() < over:
            faults.create_task(self._break_one(scene))
            await asyncio.sleep(min(self._plan.every_s, max(0.0, over - loop.time())))

    async def _break_one(self, scene: Scene) -> None:
        """Let one fault happen, another one if its victims are taken."""
        now = asyncio.get_running_loop().time
        for _ in range(TRIES):
            name = scene.rng.choice(list(self._plan.faults))
            began = now()
            try:
                victim = await FAULTS[name](scene)
            except Taken:
                continue
            self._broken.append(Broken(name, victim, began, now()))
            return

    async def _all_settled(self) -> bool:
        return all(page.settled for page in self._pages)

    async def _all_shown(self) -> bool:
        """Whether everything is acknowledged, and everybody shows every head."""
        if not await self._all_settled() or any(page.unsent for page in self._pages):
            return False
        heads = await asyncio.to_thread(self._site.database.heads)
        return all(
            page.observer.view(name).last >= head
            for page in self._pages
            for name, head in heads.items()
            if page.observer.follows(name)
        )


async def _until(done: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Wait until something is so; False if it takes too long."""
    give_up_at = asyncio.get_running_loop().time() + within_s
    while not (is_done := await done()):
        if asyncio.get_running_loop().time() > give_up_at:
            break
        await asyncio.sleep(POLL_S)
    return is_done
