"""Nodes that do not hear each other for a while, where everybody may have one session only."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.clients import DESK, WAIT_S, V1Client, answer, until
from tests.processes import ClusterProcesses

pytestmark = pytest.mark.cluster

RE_OPEN = 4
ELSEWHERE = 4501
ONE_EACH = {"customer": "one", "agent": "one"}


async def _unknown(url: str, user: str, expected: bool) -> None:
    """Wait until a node doubts, or no longer doubts, whether a user is there."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = await answer(f"{url}/api/online")
            if user in found["data"] and (user in found["unknown"]) is expected:
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("topology", "forwarders", "frozen"), [("forwarder", 1, "f1"), ("direct", 0, "n3")]
)
def test_it_and_its_healing_kick_nobody_who_logged_in_once(
    tmp_path: Path, topology: str, forwarders: int, frozen: str
) -> None:
    """Neither who was there before nor who came meanwhile; a second login still ends the first."""

    async def main(cluster: ClusterProcesses) -> None:
        first, second, third = cluster.urls
        desk = await V1Client(DESK).start(first)
        before = [
            await V1Client(f"before{number}").start(url)
            for number, url in enumerate(cluster.urls, 1)
        ]
        await until(
            "all three online",
            lambda: (
                {name for event in desk.of(1) for name in event["opened"]}
                == {client.user for client in before}
            ),
            lambda: desk.events,
        )
        cluster.send(frozen, signal.SIGSTOP)
        await _unknown(first, "before3", expected=True)
        meanwhile = [
            await V1Client(f"meanwhile{number}").start(url)
            for number, url in enumerate((first, second), 1)
        ]
        cluster.send(frozen, signal.SIGCONT)
        for url in (first, second):
            await _unknown(url, "before3", expected=False)
        await _unknown(third, "meanwhile1", expected=False)
        everybody = [*before, *meanwhile]
        for count, client in enumerate(everybody, 1):
            await client.say("still here")
            await desk.wait_for(3, count)
            await client.wait_for(3)
        again = await V1Client("before3").start(second)
        await before[2].ended()
        assert before[2].close_code == ELSEWHERE
        everybody.remove(before[2])
        for client in (*everybody, desk, again):
            assert (client.close_code, client.of(RE_OPEN)) == (None, [])
            await client.close()

    with ClusterProcesses(
        tmp_path, nodes=3, topology=topology, forwarders=forwarders, sessions=ONE_EACH
    ) as cluster:
        asyncio.run(main(cluster))
