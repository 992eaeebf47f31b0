"""Nodes and forwarders that die, or stop for a while."""

from __future__ import annotations

import asyncio
from signal import SIGCONT, SIGSTOP

from scripts.faulting.link_faults import cut
from scripts.faulting.scene import Scene
from scripts.faulting.site import OUTWARD

POLL_S = 0.005
WITNESS_POLLS = 400  # how long to wait for a message that only the database knows of


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
        async with cut(scene.site.links([name], ends=[OUTWARD])):
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
