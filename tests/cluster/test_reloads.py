"""Pages that load anew, again and again: no desk hears of it."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from tests.clients import DESK, Connection, OriginalClient, V1Client, until
from tests.processes import ClusterProcesses

pytestmark = pytest.mark.cluster

RELOADS = 200
OPEN, CLOSE = 1, 2


class OriginalDesk(OriginalClient):
    """The original page, and whoever it was told of as gone."""

    def __init__(self, url: str) -> None:
        super().__init__(DESK, url)
        self.closes: list[list[str]] = []

    def on_event(self, event: dict[str, object]) -> None:
        """Note who is left."""
        super().on_event(event)
        if event["key"] == CLOSE:
            self.closes.append(self.online_list)


async def _reload(page: Connection, url: str) -> Connection:
    """Connect again as the browser does: its old connection ends, a new one begins."""
    await page.close()
    address = url.replace("http", "ws", 1) + f"/websocket/mq/chat/{page.user}"
    again = type(page)(page.user) if isinstance(page, V1Client) else OriginalClient(page.user, url)
    await again.open(address, *(["zmqchat.v1"] if isinstance(page, V1Client) else []))
    return again


def test_two_hundred_in_a_row_make_no_offline_notice(tmp_path: Path) -> None:
    """Pages of both kinds go from node to node; only who really leaves afterwards is gone."""

    async def main(urls: list[str]) -> None:
        desks = [await V1Client(DESK).start(url) for url in urls]
        original = await OriginalDesk(urls[0]).start()
        leaver = await V1Client("leaver").start(urls[1])
        pages: list[Connection] = [
            await V1Client("v1").start(urls[0]),
            await OriginalClient("old", urls[0]).start(),
        ]
        nodes = itertools.cycle(urls)
        for number in range(RELOADS):
            pages[number % 2] = await _reload(pages[number % 2], next(nodes))
        await leaver.close()
        for desk in desks:
            (close,) = await desk.wait_for(CLOSE)
            assert (close["closed"], close["unknown"]) == (["leaver"], [])
            assert {name for event in desk.of(OPEN) for name in event["closed"]} == set()
            opened = [name for event in desk.of(OPEN) for name in event["opened"]]
            assert sorted(opened) == ["leaver", "old", "v1"]
        await until(
            "told of the leaver", lambda: bool(original.closes), lambda: original.online_list
        )
        assert [sorted(left) for left in original.closes] == [["old", "v1"]]
        for client in (*desks, original, *pages):
            await client.close()

    with ClusterProcesses(tmp_path, nodes=3, sessions={"agent": "many"}) as cluster:
        asyncio.run(main(cluster.urls))
