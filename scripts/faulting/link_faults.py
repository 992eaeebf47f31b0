"""Links that are cut or pass nothing, and pages that lose theirs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

from scripts.faulting.links import Link, Way
from scripts.faulting.scene import Scene
from scripts.faulting.site import INWARD, OUTWARD

MESH = "mesh"


async def cut_link(scene: Scene) -> str:
    """Cut a node from one forwarder; the other one is there."""
    with scene.some_node() as name:
        forwarder = scene.rng.choice(scene.site.cluster.forwarders)
        async with cut(scene.site.links([name], [forwarder])):
            await scene.pause(0.5, 4.0)
        return f"{name}-{forwarder}"


async def isolate_node(scene: Scene) -> str:
    """Cut a node from every forwarder."""
    with scene.some_node() as name:
        async with cut(scene.site.links([name])):
            await scene.pause(0.5, 5.0)
        return name


async def deafen_node(scene: Scene) -> str:
    """Let a node be heard but hear nothing, or the other way round."""
    with scene.some_node() as name:
        end = scene.rng.choice([INWARD, OUTWARD])
        async with held(scene.site.links([name], ends=[end]), scene.rng.choice(list(Way))):
            await scene.pause(0.5, 5.0)
        return f"{name} {end}"


async def black_hole(scene: Scene) -> str:
    """Let a node's connections stay, and pass nothing on."""
    with scene.some_node() as name:
        async with held(scene.site.links([name]), Way.BOTH):
            await scene.pause(0.5, 5.0)
        return name


async def pull_wire(scene: Scene) -> str:
    """Let everything vanish that a node sends or is sent, by its clients as well."""
    with scene.some_node() as name:
        scene.site.wires[name].pull()
        try:
            await scene.pause(0.5, 8.0)
        finally:
            scene.site.wires[name].plug()
        return name


async def no_mesh(scene: Scene) -> str:
    """Cut every node from every forwarder: only the database is left."""
    with scene.site.claim(scene.rng, [MESH]):
        async with cut(scene.site.links()):
            await scene.pause(1.0, 5.0)
        return "all links"


async def burst(scene: Scene) -> str:
    """Write more than queues hold while a node does not hear."""
    with scene.some_node() as name:
        async with held(scene.site.links([name], ends=[INWARD]), Way.BOTH):
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
async def cut(links: Iterable[Link]) -> AsyncIterator[None]:
    """Cut links while the block runs."""
    for link in links:
        link.cut()
    try:
        yield
    finally:
        for link in links:
            link.heal()


@contextlib.asynccontextmanager
async def held(links: Iterable[Link], way: Way) -> AsyncIterator[None]:
    """Hold links while the block runs."""
    for link in links:
        link.hold(way)
    try:
        yield
    finally:
        for link in links:
            link.heal()
