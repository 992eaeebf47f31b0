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
        cluster.launch("n2")
        await asyncio.to_thread(cluster.await_ready, "n2")
        u3 = await V1Client("u3").start(cluster.url_of["n2"])
        await _online(desk, {"both", "u3"})
        for client in (both[1], u3, desk):
            await client.close()

    with ClusterProcesses(tmp_path, nodes=3, topology=topology, forwarders=forwarders) as cluster:
        asyncio.run(main(cluster))


def test_a_node_that_stops_is_gone_at_once_and_its_customers_are_not(tmp_path: Path) -> None:
    """A goodbye is believed: nobody is sent there, and its customers may come back elsewhere."""

    async def main(cluster: ClusterProcesses) -> None:
        first, second = cluster.urls
        desk = await _desk_at(first)
        u1 = await V1Client("u1").start(second)
        await _online(desk, {"u1"})
        await asyncio.to_thread(cluster.stop, "n2")
        await u1.ended()
        assert u1.close_code == 4000
        assert set(desk.online_list) == {"u1"}, "a page that moves to another node makes no noise"
        address = await answer(f"{first}/chatMsg/getWebSocketAddress/u1")
        assert address["data"].startswith(first.replace("http", "ws"))
        await desk.close()

    with ClusterProcesses(tmp_path, nodes=2) as cluster:
        asyncio.run(main(cluster))
