"""A cluster whose messages are kept on a MariaDB server, which may go away for a while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.clients import DESK, V1Client, answer, fetch, until
from tests.databases import MISSING, MariaServer, is_installed
from tests.processes import ClusterProcesses
from zmqchat.errors import CloseCode

pytestmark = pytest.mark.cluster

CUSTOMERS = ("u1", "u2", "u3", "u4")


class Writer:
    """A customer who writes numbered messages, the next one when the last is acknowledged."""

    def __init__(self, client: V1Client) -> None:
        self.client = client
        self.acknowledged: dict[str, int] = {}  # seq by text
        self.stopping = False

    async def write(self) -> None:
        """Write until told to stop."""
        number = 0
        while not self.stopping:
            number += 1
            text = f"{self.client.user} {number}"
            await self.client.say(text, client_id=f"c{number}")
            ack = (await self.client.wait_for(5, number))[-1]["data"]
            assert ack["clientId"] == f"c{number}"
            self.acknowledged[text] = ack["seq"]


async def _restart(server: MariaServer) -> None:
    await asyncio.to_thread(server.stop)
    server.launch()  # in the main thread: the server dies with the thread that starts it


async def _crash(server: MariaServer) -> None:
    server.kill()
    await asyncio.sleep(0.3)  # an outage that nobody can miss
    server.launch()


def test_a_database_server_that_goes_away_loses_nothing(tmp_path: Path) -> None:
    """It is restarted and killed while four customers write; nodes say so, and go on."""
    if not is_installed():
        pytest.skip(MISSING)

    async def main(server: MariaServer, urls: list[str]) -> None:
        desk = await V1Client(DESK).start(urls[0])
        clients = [
            await V1Client(user).start(urls[n % len(urls)]) for n, user in enumerate(CUSTOMERS)
        ]
        writers = [Writer(client) for client in clients]
        tasks = [asyncio.ensure_future(writer.write()) for writer in writers]
        for away in (_restart, _crash):
            await _all_go_on(writers)
            await _noticed(urls, server, away)
        await _all_go_on(writers)
        for writer in writers:
            writer.stopping = True
        await asyncio.gather(*tasks)
        for writer in writers:
            user = writer.client.user
            history = (await answer(f"{urls[1]}/chatMsg/getHistoryChat/{user}?limit=500"))["data"]
            assert {message["msg"]: message["seq"] for message in history} == writer.acknowledged
            assert [message["seq"] for message in history] == list(range(1, len(history) + 1))
        wanted = {text for writer in writers for text in writer.acknowledged}
        await until(
            "the desk to see everything",
            lambda: {event["data"]["msg"] for event in desk.of(3)} >= wanted,
            lambda: wanted - {event["data"]["msg"] for event in desk.of(3)},
        )
        seen = [(event["data"]["conversation"], event["data"]["seq"]) for event in desk.of(3)]
        assert len(set(seen)) == len(seen)
        for client in (desk, *clients):
            await client.close()

    with (
        MariaServer(tmp_path / "mariadb") as server,
        ClusterProcesses(tmp_path, nodes=2, database=server.fresh()) as cluster,
    ):
        asyncio.run(main(server, cluster.urls))


async def _all_go_on(writers: list[Writer]) -> None:
    """Wait until everybody has had some more messages acknowledged."""
    before = [len(writer.acknowledged) for writer in writers]
    await until(
        "everybody goes on writing",
        lambda: all(len(w.acknowledged) > n + 5 for w, n in zip(writers, before, strict=True)),
        lambda: [len(writer.acknowledged) for writer in writers],
    )


async def _noticed(
    urls: list[str], server: MariaServer, away: Callable[[MariaServer], Awaitable[None]]
) -> None:
    """Send the server away; see that each node is not ready meanwhile, and ready again later."""
    watching = [asyncio.ensure_future(_becomes(url, 503)) for url in urls]
    await asyncio.sleep(0)
    await away(server)
    bodies = await asyncio.gather(*watching)
    assert all("database" in json.loads(body)["msg"] for body in bodies)
    await asyncio.to_thread(server.await_ready)
    await asyncio.gather(*(_becomes(url, 200) for url in urls))


async def _becomes(url: str, code: int) -> bytes:
    async with asyncio.timeout(15):
        while (response := await fetch(f"{url}/readyz")).code != code:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return response.body


def test_messages_outlive_the_nodes(tmp_path: Path, mariadb: MariaServer) -> None:
    """Names that differ in case or accent stay apart, across nodes and after a restart."""
    names = ("Zoe", "zoe", "zoé")

    async def before(urls: list[str]) -> None:
        desk = await V1Client(DESK).start(urls[1])
        clients = [await V1Client(name).start(urls[0]) for name in names]
        for client in clients:
            await client.say(f"I am {client.user} 👋", client_id="c1")
            await client.wait_for(5)
        await desk.wait_for(3, len(names))
        await desk.say("hello", to="zoé")
        await clients[2].wait_for(3, 2)
        for client in (desk, *clients):
            await client.close()

    async def after(url: str) -> None:
        for name in names:
            history = (await answer(f"{url}/chatMsg/getHistoryChat/{quote(name)}"))["data"]
            expected = [f"I am {name} 👋"] + ["hello"] * (name == "zoé")
            assert [message["msg"] for message in history] == expected
        again = await V1Client("zoe").start(url)
        await again.say("I am zoe 👋", client_id="c1")
        (ack,) = await again.wait_for(5)
        assert ack["data"]["duplicate"] is True
        await again.close()

    with ClusterProcesses(tmp_path, nodes=2, database=mariadb.fresh()) as cluster:
        asyncio.run(before(cluster.urls))
        cluster.stop("n1")
        cluster.start("n1")
        asyncio.run(after(cluster.url_of["n1"]))


def test_of_two_logins_at_the_same_moment_one_stays(tmp_path: Path, mariadb: MariaServer) -> None:
    """The server's rows decide: of two nodes that ask at once, one gives the newer login."""

    async def main(urls: list[str]) -> None:
        last = None
        for turn in range(1, 4):
            pair = await asyncio.gather(*(V1Client(DESK).start(url) for url in urls))
            if last is not None:
                await last.ended()
            last = await _stays(pair)
            await last.say(f"turn {turn}", to="u1")
            await last.wait_for(3)
            assert last.of(4) == []
        assert last is not None
        await last.close()

    with ClusterProcesses(tmp_path, nodes=2, database=mariadb.fresh()) as cluster:
        asyncio.run(main(cluster.urls))


async def _stays(pair: list[V1Client]) -> V1Client:
    """Wait until one of two is told to go and closed; return the other."""
    await until(
        "one is closed",
        lambda: any(client.close_code for client in pair),
        lambda: [client.events for client in pair],
    )
    stays, left = sorted(pair, key=lambda client: client.close_code or 0)
    assert (stays.close_code, left.close_code) == (None, CloseCode.LOGGED_IN_ELSEWHERE)
    return stays
