"""A database that is locked, full, frozen, dead or out of reach."""

from __future__ import annotations

import asyncio

from scripts.faulting.scene import Scene
from scripts.faulting.site import DATABASE


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
