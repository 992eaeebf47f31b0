"""A database that is locked, full, frozen, dead or out of reach."""

from __future__ import annotations

import asyncio
from signal import SIGCONT, SIGSTOP

from scripts.faulting.databases import Server
from scripts.faulting.link_faults import cut, held
from scripts.faulting.links import Way
from scripts.faulting.scene import Scene
from scripts.faulting.site import DATABASE

MORE = "and more " * 4000  # 36 kB: what room a database has in its own files is soon used up


async def lock_database(scene: Scene) -> str:
    """Have the only write lock for some seconds."""
    with scene.site.claim(scene.rng, [DATABASE]):
        await asyncio.to_thread(scene.site.database.lock, scene.rng.uniform(1.0, 4.0))
        return "held"


async def full_disk(scene: Scene) -> str:
    """Leave no room on the database's disk for some seconds, and write more than fits by chance."""
    with scene.site.claim(scene.rng, [DATABASE]):
        clear = await asyncio.to_thread(scene.site.database.fill_disk)
        try:
            for page in scene.customers:
                page.say_next(MORE)
            await scene.pause(1.0, 4.0)
        finally:
            clear()
        return "filled"


async def kill_database(scene: Scene) -> str:
    """Kill the database server, and start it again."""
    with scene.site.claim(scene.rng, [DATABASE]):
        server = _server(scene)
        server.kill()
        await scene.pause(0.5, 3.0)
        server.launch()
        await asyncio.to_thread(server.await_ready)
        return "killed"


async def freeze_database(scene: Scene) -> str:
    """Stop the database server in its tracks, and let it go on."""
    with scene.site.claim(scene.rng, [DATABASE]):
        _server(scene).send(SIGSTOP)
        try:
            await scene.pause(0.5, 6.0)
        finally:
            _server(scene).send(SIGCONT)
        return "frozen"


async def cut_database(scene: Scene) -> str:
    """Cut a node from the database; what it was committing may be stored or not."""
    with scene.some_node() as name:
        async with cut([scene.site.database_links[name]]):
            await scene.pause(0.5, 4.0)
        return name


async def hold_database(scene: Scene) -> str:
    """Let a node ask the database, and hear no answer for a while."""
    with scene.some_node() as name:
        async with held([scene.site.database_links[name]], Way.IN):
            await scene.pause(0.5, 5.0)
        return name


def _server(scene: Scene) -> Server:
    assert scene.site.database.server is not None, "a file has no server to break"
    return scene.site.database.server
