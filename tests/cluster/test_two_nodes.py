"""A direct mesh of two: nobody can confirm that the other is dead, but its closed port can."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from scripts.killing.scenario import SETTINGS, Desk, Scene
from tests.processes import ClusterProcesses, wait_until

pytestmark = pytest.mark.cluster

LEAST_DOWN_S = 5.0
REFUSED_S = 2.0
LINGER_S = 5.0
BEAT_S = 0.6  # from one beat to the next, at most


async def _down_after_s(cluster: ClusterProcesses, since: float) -> float:
    """Wait until n1 has no peer, and return how long that took."""
    await asyncio.to_thread(
        wait_until,
        lambda: cluster.peers_of("n1") == 0,
        "n2 down for n1",
        state=lambda: cluster.log("n1"),
    )
    return asyncio.get_running_loop().time() - since


def _told_at(desk: Desk, user: str, name: str) -> float:
    at = desk.list.told(user, name)
    assert at is not None
    return at


def test_a_killed_node_is_down_when_its_port_refuses(tmp_path: Path) -> None:
    """Its users are unknown at once, it is down after two seconds, they are offline 5 s later."""

    async def main(cluster: ClusterProcesses) -> None:
        scene = await Scene(cluster).start()
        gone = await scene.enters("gone", "n2")
        await scene.agrees()
        lost, desk = scene.desks.pop("n2"), scene.desks["n1"]
        killed_at = asyncio.get_running_loop().time()
        cluster.kill("n2")
        down_s = await _down_after_s(cluster, killed_at)
        assert REFUSED_S <= down_s < REFUSED_S + 1.5
        await scene.all_told("gone", "closed")
        assert _told_at(desk, "gone", "unknown") - killed_at < 1.0
        assert down_s + LINGER_S - 0.2 < _told_at(desk, "gone", "closed") - killed_at
        assert _told_at(desk, "gone", "closed") - killed_at < down_s + LINGER_S + 1.0
        for client in (gone, lost):
            await client.ended()
        await scene.leaves("gone")
        await scene.agrees()
        await scene.close()

    with ClusterProcesses(tmp_path, nodes=2, **SETTINGS) as cluster:
        asyncio.run(main(cluster))


def test_a_link_that_is_merely_cut_is_given_until_the_deadline(tmp_path: Path) -> None:
    """The port of a frozen node does not refuse: it is unknown soon, and down not before 5 s."""

    async def main(cluster: ClusterProcesses) -> None:
        scene = await Scene(cluster).start()
        await scene.enters("frozen", "n2")
        await scene.agrees()
        held = scene.desks.pop("n2")
        frozen_at = asyncio.get_running_loop().time()
        cluster.send("n2", signal.SIGSTOP)
        down_s = await _down_after_s(cluster, frozen_at)
        cluster.send("n2", signal.SIGCONT)
        assert LEAST_DOWN_S - BEAT_S < down_s < LEAST_DOWN_S + 1.0
        assert _told_at(scene.desks["n1"], "frozen", "unknown") - frozen_at < 3.0 + BEAT_S
        scene.desks["n2"] = held
        await scene.agrees()
        assert not scene.closed_wrongly()
        await scene.close()

    with ClusterProcesses(tmp_path, nodes=2, **SETTINGS) as cluster:
        asyncio.run(main(cluster))
