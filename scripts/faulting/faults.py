"""What can be done to a cluster: each fault breaks something, waits, and mends it again.

`FAULTS` names them all. A fault returns what it broke, or raises `Taken` if others have hold of
it; ``Scene`` is what it may touch.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from signal import SIGCONT, SIGSTOP
from typing import NamedTuple

from scripts.faulting.history import History
from scripts.faulting.links import Link, Way
from scripts.faulting.people import Customer
from scripts.faulting.site import DATABASE, INWARD, OUTWARD, Site

MESH = "mesh"
POLL_S = 0.005
WITNESS_POLLS = 400  # how long to wait for a message that only the database knows of


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


# Processes.


async def kill_node(scene: Scene) -> str:
    """Kill a node, and start it again seconds later."""
    with scene.some_node() as name:
        await _kill(scene, name)
        return name


async def freeze_node(scene: Scene) -> str:
    """Stop a node in its tracks, and let it go on; its peers may have buried it meanwhile."""
    with scene.some_node() as name:
        await _freeze(scene, name, 8.0)
        return name


async def kill_forwarder(scene: Scene) -> str:
    """Kill a forwarder, perhaps the last one, and start it again."""
    with scene.some_forwarder() as name:
        await _kill(scene, name)
        return name


async def freeze_forwarder(scene: Scene) -> str:
    """Stop a forwarder, and let it go on: what it had queued comes late."""
    with scene.some_forwarder() as name:
        await _freeze(scene, name, 5.0)
        return name


async def silent_death(scene: Scene) -> str:
    """Kill a node between commit and publishing: its peers cannot hear it when it acknowledges."""
    with scene.some_node() as name:
        async with _cut(scene.site.links([name], ends=[OUTWARD])):
            await _acknowledged_by(scene, name)
            scene.site.cluster.kill(name)
        await scene.pause(0.5, 2.0)
        await scene.site.revive(name)
        return name


async def _acknowledged_by(scene: Scene, name: str) -> None:
    """Wait until a node has acknowledged something, if it does so soon."""
    before = len(scene.history.acks)
    here = {page.user for page in scene.customers if page.settled and page.node == name}
    for _ in range(WITNESS_POLLS):
        if any(ack.conversation in here for ack in scene.history.acks[before:]):
            return
        await asyncio.sleep(POLL_S)


async def _kill(scene: Scene, name: str) -> None:
    scene.site.cluster.kill(name)
    await scene.pause(0.5, 3.0)
    await scene.site.revive(name)


async def _freeze(scene: Scene, name: str, most_s: float) -> None:
    scene.site.cluster.send(name, SIGSTOP)
    try:
        await scene.pause(0.5, most_s)
    finally:
        scene.site.cluster.send(name, SIGCONT)


# Links.


async def cut_link(scene: Scene) -> str:
    """Cut a node from one forwarder; the other one is there."""
    with scene.some_node() as name:
        forwarder = scene.rng.choice(scene.site.cluster.forwarders)
        async with _cut(scene.site.links([name], [forwarder])):
            await scene.pause(0.5, 4.0)
        return f"{name}-{forwarder}"


async def isolate_node(scene: Scene) -> str:
    """Cut a node from every forwarder."""
    with scene.some_node() as name:
        async with _cut(scene.site.links([name])):
            await scene.pause(0.5, 5.0)
        return name


async def deafen_node(scene: Scene) -> str:
    """Let a node be heard but hear nothing, or the other way round."""
    with scene.some_node() as name:
        end = scene.rng.choice([INWARD, OUTWARD])
        async with _held(scene.site.links([name], ends=[end]), scene.rng.choice(list(Way))):
            await scene.pause(0.5, 5.0)
        return f"{name} {end}"


async def black_hole(scene: Scene) -> str:
    """Let a node's connections stay, and pass nothing on."""
    with scene.some_node() as name:
        async with _held(scene.site.links([name]), Way.BOTH):
            await scene.pause(0.5, 5.0)
        return name


async def no_mesh(scene: Scene) -> str:
    """Cut every node from every forwarder: only the database is left."""
    with scene.site.claim(scene.rng, [MESH]):
        async with _cut(scene.site.links()):
            await scene.pause(1.0, 5.0)
        return "all links"


async def burst(scene: Scene) -> str:
    """Write more than queues hold while a node does not hear."""
    with scene.some_node() as name:
        async with _held(scene.site.links([name], ends=[INWARD]), Way.BOTH):
            for page in scene.customers:
                for _ in range(scene.burst):
                    page.say_next()
                await asyncio.sleep(0)
            await scene.pause(1.0, 3.0)
        return f"{name}, {scene.burst * len(scene.customers)} messages"


async def drop_pages(scene: Scene) -> str:
    """Let all customers of a node lose their connections at once."""
    settled = [page for page in scene.customers if page.settled]
    name = scene.rng.choice(settled).node if settled else ""
    pages = [page for page in settled if page.node == name]
    for page in pages:
        await page.drop()
    return f"{len(pages)} of {name}"


@contextlib.asynccontextmanager
async def _cut(links: Iterable[Link]) -> AsyncIterator[None]:
    for link in links:
        link.cut()
    try:
        yield
    finally:
        for link in links:
            link.heal()


@contextlib.asynccontextmanager
async def _held(links: Iterable[Link], way: Way) -> AsyncIterator[None]:
    for link in links:
        link.hold(way)
    try:
        yield
    finally:
        for link in links:
            link.heal()


# The database.


async def lock_database(scene: Scene) -> str:
    """Have the only write lock for some seconds."""
    with scene.site.claim(scene.rng, [DATABASE]):
        await asyncio.to_thread(scene.site.database.lock, scene.rng.uniform(1.0, 4.0))
        return "held"


async def full_disk(scene: Scene) -> str:
    """Leave no room on the database's disk for some seconds."""
    with scene.site.claim(scene.rng, [DATABASE]):
        clear = await asyncio.to_thread(scene.site.database.fill_disk)
        try:
            await scene.pause(1.0, 4.0)
        finally:
            clear()
        return "filled"


FAULTS: dict[str, Fault] = {
    "kill-node": kill_node,
    "freeze-node": freeze_node,
    "silent-death": silent_death,
    "kill-forwarder": kill_forwarder,
    "freeze-forwarder": freeze_forwarder,
    "cut-link": cut_link,
    "isolate-node": isolate_node,
    "deafen-node": deafen_node,
    "black-hole": black_hole,
    "no-mesh": no_mesh,
    "burst": burst,
    "drop-pages": drop_pages,
    "lock-database": lock_database,
    "full-disk": full_disk,
}
