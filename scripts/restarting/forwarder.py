"""The only forwarder of a cluster goes away and comes back, as desks on two nodes see it.

Meanwhile no node hears another. Somebody comes, somebody leaves, and somebody goes to the other
node; when the forwarder is back, every desk must find out about each of them.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from scripts.killing.scenario import Desk, Scene

FORWARDER = "f1"
HERE, THERE = "n1", "n2"


class Absence(NamedTuple):
    """What came out, in seconds until the last desk knew, and who was told as offline wrongly."""

    unknown_s: float  # after it went: users of the other node
    whole_s: float  # after it came back: everybody who is connected is online
    left_s: float  # after it came back: who left meanwhile is offline
    wrong: set[str]


async def take_away(scene: Scene, seconds: float) -> Absence:
    """Kill the forwarder of a scene of two nodes, and start it again after so many seconds."""
    loop, cluster = asyncio.get_running_loop(), scene.cluster
    for user in ("there", "leaves", "moves"):
        await scene.enters(user, THERE)
    await scene.agrees()
    gone_at = loop.time()
    cluster.kill(FORWARDER)
    here, there = scene.desks[HERE], scene.desks[THERE]
    await scene.every_desk("the others unknown", lambda desk: _unknown(desk, desk is here))
    unknown_s = loop.time() - gone_at
    await scene.leaves("leaves")
    await scene.leaves("moves")
    await scene.enters("moves", HERE)
    await scene.enters("comes", THERE)
    await asyncio.sleep(seconds - (loop.time() - gone_at))
    assert _unknown(here, True), here.list.shown
    assert _unknown(there, False), there.list.shown
    listed = await scene.listed()
    assert listed == {name: _as_listed(desk) for name, desk in scene.desks.items()}
    assert not any(event["closed"] for desk in (here, there) for _, event in desk.list.changes)
    cluster.launch(FORWARDER)
    await asyncio.to_thread(cluster.await_ready, FORWARDER)
    back_at = loop.time()
    await scene.every_desk("whole", lambda desk: _online(desk) >= set(scene.online))
    whole_s = loop.time() - back_at
    await scene.all_told("leaves", "closed")
    left_s = loop.time() - back_at
    await scene.agrees()
    return Absence(unknown_s, whole_s, left_s, scene.closed_wrongly())


def _unknown(desk: Desk, here: bool) -> bool:
    """Whether a desk shows exactly the users of the other node as unknown."""
    remote = ("there",) if here else ("stays",)
    return all(desk.list.shown.get(user) == "unknown" for user in remote)


def _online(desk: Desk) -> set[str]:
    return {user for user, shown in desk.list.shown.items() if shown == "online"}


def _as_listed(desk: Desk) -> tuple[list[str], list[str]]:
    """What REST is to say where a desk shows this."""
    shown = sorted(desk.list.shown)
    return shown, [user for user in shown if desk.list.shown[user] == "unknown"]
