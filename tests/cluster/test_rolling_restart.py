"""One node after the other is restarted, as for a new version."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scripts.killing.scenario import SETTINGS
from scripts.restarting.rolling import Crowd
from tests.processes import ClusterProcesses

pytestmark = pytest.mark.cluster

CUSTOMERS = 60
BACK_WITHIN_S = 5.0


@pytest.mark.parametrize(("topology", "forwarders"), [("direct", 0), ("forwarder", 2)])
def test_every_client_is_soon_back_and_no_desk_misses_anybody(
    tmp_path: Path, topology: str, forwarders: int
) -> None:
    """Pages follow DRAIN, the original's come back by themselves; every node ends with 0."""

    async def main(cluster: ClusterProcesses) -> None:
        crowd = Crowd(cluster, CUSTOMERS)
        await crowd.start()
        rolled = await crowd.roll()
        assert len(rolled.outages_s) >= CUSTOMERS
        assert max(rolled.outages_s) < BACK_WITHIN_S
        assert rolled.mistakes == []
        await crowd.stop()

    with ClusterProcesses(
        tmp_path, nodes=3, topology=topology, forwarders=forwarders, **SETTINGS
    ) as cluster:
        asyncio.run(main(cluster))
