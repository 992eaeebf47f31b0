"""Nodes that are killed or frozen: desks are told soon, nothing wrong, and nothing is left."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scripts.killing.scenario import SETTINGS, Scene
from tests.processes import ClusterProcesses

pytestmark = pytest.mark.cluster

VICTIMS = ("n5", "n4", "n5")


@pytest.mark.parametrize(
    ("topology", "forwarders", "most_s"), [("direct", 0, 1.5), ("forwarder", 2, 6.0)]
)
def test_users_of_a_killed_node_are_soon_not_online(
    tmp_path: Path, topology: str, forwarders: int, most_s: float
) -> None:
    """On no desk; who has come elsewhere is never told as offline; a new life brings no ghosts."""

    async def main(cluster: ClusterProcesses) -> None:
        scene = await Scene(cluster).start()
        assert max([await scene.kill(victim) for victim in VICTIMS]) < most_s
        await scene.enters("newcomer", VICTIMS[-1])
        await scene.agrees()
        assert await scene.listed() == dict.fromkeys(scene.desks, (scene.online, []))
        assert not scene.closed_wrongly()
        await scene.close()

    with ClusterProcesses(
        tmp_path, nodes=5, topology=topology, forwarders=forwarders, **SETTINGS
    ) as cluster:
        asyncio.run(main(cluster))


@pytest.mark.parametrize(("topology", "forwarders"), [("direct", 0), ("forwarder", 2)])
def test_users_of_a_frozen_node_are_unknown_until_it_goes_on(
    tmp_path: Path, topology: str, forwarders: int
) -> None:
    """Within six seconds; then everybody agrees again, the frozen node too."""

    async def main(cluster: ClusterProcesses) -> None:
        scene = await Scene(cluster).start()
        assert await scene.freeze("frozen", "n3") < 6.0
        await scene.agrees()
        assert await scene.listed() == dict.fromkeys(scene.desks, (scene.online, []))
        assert not scene.closed_wrongly()
        await scene.close()

    with ClusterProcesses(
        tmp_path, nodes=3, topology=topology, forwarders=forwarders, **SETTINGS
    ) as cluster:
        asyncio.run(main(cluster))
