"""An agent has one session in the whole cluster, a customer as many as they like."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.clients import DESK, OriginalClient, V1Client, answer, until
from tests.processes import ClusterProcesses

pytestmark = pytest.mark.cluster

ELSEWHERE = 4501
ROUNDS = 10


async def _open(user: str, url: str, *subprotocols: str) -> V1Client:
    client = V1Client(user)
    address = url.replace("http", "ws", 1) + f"/websocket/mq/chat/{user}"
    await client.open(address, "zmqchat.v1", *subprotocols)
    return client


async def _come_back(client: V1Client, url: str) -> V1Client:
    """Connect elsewhere as the same page."""
    (welcome,) = await client.wait_for(0)
    return await _open(client.user, url, f"c.{welcome['data']['continue']}")


async def _replaced(client: V1Client, node: str) -> None:
    """Wait until a client was told once that it is replaced, and closed for good."""
    await client.ended()
    assert client.close_code == ELSEWHERE
    assert client.events[-1]["key"] == 4
    assert [event["data"]["node"] for event in client.of(4)] == [node]


async def _one_left(pair: list[V1Client]) -> tuple[V1Client, V1Client]:
    """Wait until one of two is closed; return who stays and who left."""
    await until(
        "one is closed",
        lambda: any(client.close_code for client in pair),
        lambda: [client.events for client in pair],
    )
    stays, left = sorted(pair, key=lambda client: client.close_code or 0)
    assert stays.close_code is None
    return stays, left


async def _works(desk: V1Client) -> None:
    """Send a message as the desk, and wait until it comes back."""
    before = len(desk.of(3))
    await desk.say(f"message {before}", to="u1")
    await desk.wait_for(3, before + 1)


@pytest.mark.parametrize(("topology", "forwarders"), [("direct", 0), ("forwarder", 2)])
def test_of_two_logins_at_the_same_moment_one_stays(
    tmp_path: Path, topology: str, forwarders: int
) -> None:
    """Again and again two pages connect at once to two nodes: one is told to go, the other not."""

    async def main(urls: list[str]) -> None:
        last = await V1Client(DESK).start(urls[0])
        for _ in range(ROUNDS):
            pair = await asyncio.gather(*(V1Client(DESK).start(url) for url in urls))
            await last.ended()
            assert [event["key"] for event in last.events if event["key"] == 4] == [4]
            last, left = await _one_left(pair)
            await _replaced(left, f"n{pair.index(last) + 1}")
            await _works(last)
        await asyncio.sleep(1.2)  # the news of the last login has been repeated by then
        await _works(last)
        assert last.of(4) == []
        await last.close()

    with ClusterProcesses(tmp_path, nodes=2, topology=topology, forwarders=forwarders) as cluster:
        asyncio.run(main(cluster.urls))


def test_an_original_client_is_told_and_closed(tmp_path: Path) -> None:
    """It does not know key 4, and is closed all the same; the other goes on."""

    async def main(first: str, second: str) -> None:
        desk = await OriginalClient(DESK, first).start()
        other = await V1Client(DESK).start(second)
        await desk.ended()
        assert (desk.ignored, desk.close_code) == ([4], ELSEWHERE)
        await _works(other)
        await other.close()

    with ClusterProcesses(tmp_path, nodes=2) as cluster:
        asyncio.run(main(*cluster.urls))


def test_a_page_that_reconnects_takes_nothing_over(tmp_path: Path) -> None:
    """Its old session closes with 1000 and no key 4, on the same node and on another."""

    async def main(first: str, second: str) -> None:
        page = await V1Client(DESK).start(first)
        for url in (second, second, first):
            again = await _come_back(page, url)
            await page.ended()
            assert (page.close_code, page.of(4)) == (1000, [])
            page = again
        await _works(page)
        other = await V1Client(DESK).start(second)
        await _replaced(page, "n2")
        late = await _come_back(page, first)
        await _replaced(late, "n2")
        assert late.of(0) == []
        await _works(other)
        await other.close()

    with ClusterProcesses(tmp_path, nodes=2) as cluster:
        asyncio.run(main(*cluster.urls))


def test_a_ghost_cannot_write(tmp_path: Path) -> None:
    """With no word between the nodes the older session writes in vain, and then is told."""

    async def main(cluster: ClusterProcesses) -> None:
        first, second = cluster.urls
        ghost = await V1Client(DESK).start(first)
        await _works(ghost)
        cluster.send("f1", signal.SIGSTOP)
        desk = await V1Client(DESK).start(second)
        await _works(desk)
        await ghost.say("boo", to="u1", client_id="boo")
        (error,) = await ghost.wait_for(6)
        assert (error["data"]["code"], error["data"]["clientId"]) == ("superseded", "boo")
        await _replaced(ghost, "n2")
        history = await answer(f"{second}/chatMsg/getHistoryChat/u1")
        assert [message["msg"] for message in history["data"]] == ["message 0", "message 0"]
        await desk.close()

    with ClusterProcesses(tmp_path, nodes=2, topology="forwarder", forwarders=1) as cluster:
        asyncio.run(main(cluster))


def test_customers_and_agents_who_may_have_many_keep_all(tmp_path: Path) -> None:
    """Two sessions of a customer by default, and of the desk where the file says so."""

    async def main(urls: list[str]) -> None:
        clients = [await V1Client(user).start(url) for user in ("u1", DESK) for url in urls]
        await clients[0].say("hello")
        for client in clients:
            await client.wait_for(3)
            (welcome,) = client.of(0)
            assert welcome["data"]["continue"] is None
            assert client.of(4) == []
            await client.close()

    with ClusterProcesses(tmp_path, nodes=2, sessions={"agent": "many"}) as cluster:
        asyncio.run(main(cluster.urls))
