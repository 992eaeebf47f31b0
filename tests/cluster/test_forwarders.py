"""Forwarders that are gone for a while: one of two, and the only one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scripts.killing.scenario import SETTINGS, Scene
from scripts.restarting.forwarder import take_away
from tests.clients import until
from tests.processes import ClusterProcesses

pytestmark = pytest.mark.cluster

AWAY_S = 7.0  # longer than a node may be silent, and than users linger
LINGER_S = 5.0


CONNECTIONS = 4  # of a node to a forwarder: control and chat, each way
ESTABLISHED = "01"


def _connections(cluster: ClusterProcesses, forwarder: str) -> int:
    """Count those that are open at a forwarder, on Linux."""
    ports = {int(endpoint.rsplit(":", 1)[1]) for endpoint in cluster.endpoints(forwarder)}
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        int(local.rsplit(":", 1)[1], 16) in ports
        for _, local, _, state, *_ in rows
        if state == ESTABLISHED
    )


async def _all_connected(cluster: ClusterProcesses, forwarder: str) -> None:
    """Wait until every node is connected to a forwarder."""
    await until(
        f"all nodes at {forwarder}",
        lambda: _connections(cluster, forwarder) == CONNECTIONS * len(cluster.nodes),
        lambda: _connections(cluster, forwarder),
    )


def test_with_one_of_two_nothing_changes(tmp_path: Path) -> None:
    """No desk is told anything but that somebody left; messages arrive; and so with the other."""

    async def main(cluster: ClusterProcesses) -> None:
        scene = await Scene(cluster).start()
        writer = await scene.enters("writer", "n2")
        for name in cluster.forwarders:
            leaver = f"left without {name}"
            await scene.enters(leaver, "n2")
            await scene.agrees()
            seen = {node: len(desk.list.changes) for node, desk in scene.desks.items()}
            cluster.kill(name)
            await scene.leaves(leaver)
            await writer.say(f"without {name}")
            await scene.all_told(leaver, "closed")
            for node, desk in scene.desks.items():
                (change,) = desk.list.changes[seen[node] :]
                assert change[1]["closed"] == [leaver]
                assert change[1]["unknown"] == []
                await desk.wait_for(3, cluster.forwarders.index(name) + 1)
            cluster.launch(name)
            await asyncio.to_thread(cluster.await_ready, name)
            await _all_connected(cluster, name)
        await scene.close()

    with ClusterProcesses(
        tmp_path, nodes=2, topology="forwarder", forwarders=2, **SETTINGS
    ) as cluster:
        asyncio.run(main(cluster))


def test_while_the_only_one_is_away_the_others_are_unknown(tmp_path: Path) -> None:
    """Nobody is told offline who was not, and soon after its return all is right again."""

    async def main(cluster: ClusterProcesses) -> None:
        scene = await Scene(cluster).start()
        found = await take_away(scene, AWAY_S)
        assert found.unknown_s < 2.0
        assert found.whole_s < 3.0
        assert found.left_s < 3.0
        assert found.wrong == set()
        await scene.close()

    with ClusterProcesses(
        tmp_path, nodes=2, topology="forwarder", forwarders=1, **SETTINGS
    ) as cluster:
        asyncio.run(main(cluster))
