"""Who is online is the cluster's list, not a node's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.clients import DESK, OriginalClient, V1Client, answer, until
from tests.processes import ClusterProcesses

pytestmark = pytest.mark.cluster


async def _online(desk: OriginalClient, names: set[str]) -> None:
    await until(f"{names} online", lambda: set(desk.online_list) == names, lambda: desk.online_list)


async def _desk_at(url: str) -> OriginalClient:
    return await OriginalClient(DESK, url).start_at(
        url.replace("http", "ws") + f"/websocket/mq/chat/{DESK}"
    )


@pytest.mark.parametrize(("topology", "forwarders"), [("direct", 0), ("forwarder", 2)])
def test_customers_of_every_node_come_and_go(
    tmp_path: Path, topology: str, forwarders: int
) -> None:
    """A desk that opens late gets all of them, a killed node takes its own along."""

    async def main(cluster: ClusterProcesses) -> None:
        first, second, third = cluster.urls
        u1 = await V1Client("u1").start(first)
        u2 = await V1Client("u2").start(second)
        both = [await V1Client("both").start(url) for url in (second, third)]
        desk = await _desk_at(first)
        await _online(desk, {"u1", "u2", "both"})
        for url in cluster.urls:
            assert (await answer(f"{url}/api/online"))["data"] == ["both", "u1", "u2"]
        await u1.close()
        await _online(desk, {"u2", "both"})
        cluster.kill("n2")
        await _online(desk, {"both"})
        await u2.ended()
        await both[0].ended()
        await asyncio.to_thread(cluster.start, "n2")
        u3 = await V1Client("u3").start(cluster.url_of["n2"])
        await _online(desk, {"both", "u3"})
        for client in (both[1], u3, desk):
            await client.close()

    with ClusterProcesses(tmp_path, nodes=3, topology=topology, forwarders=forwarders) as cluster:
        asyncio.run(main(cluster))


def test_a_node_that_stops_takes_its_customers_along_at_once(tmp_path: Path) -> None:
    """A goodbye is believed: nobody waits for a missing beat."""

    async def main(cluster: ClusterProcesses) -> None:
        first, second = cluster.urls
        desk = await _desk_at(first)
        u1 = await V1Client("u1").start(second)
        await _online(desk, {"u1"})
        loop = asyncio.get_running_loop()
        stopped_at = loop.time()
        await asyncio.to_thread(cluster.stop, "n2")
        await u1.ended()
        assert u1.close_code == 1012
        await _online(desk, set())
        assert loop.time() - stopped_at < 4.0  # a missing beat takes five seconds
        await desk.close()

    with ClusterProcesses(tmp_path, nodes=2) as cluster:
        asyncio.run(main(cluster))
