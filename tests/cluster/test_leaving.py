"""A node that is told to stop: its clients go elsewhere, and nobody is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.clients import DESK, Event, OriginalClient, V1Client, answer
from tests.processes import ClusterProcesses

pytestmark = pytest.mark.cluster


class Mover(V1Client):
    """Does what a page does with DRAIN."""

    def __init__(self, user: str) -> None:
        super().__init__(user)
        self.moved: asyncio.Task[V1Client] | None = None

    def on_event(self, event: Event) -> None:
        """Keep it; move when told to."""
        super().on_event(event)
        if event["key"] == 10:
            self.moved = asyncio.get_running_loop().create_task(self._move(event["data"]))

    async def _move(self, drain: Event) -> V1Client:
        await asyncio.sleep(drain["afterMs"] / 1000)
        await self.close()
        return await V1Client(self.user).start(drain["url"])


def test_clients_move_to_a_living_node_and_no_desk_hears_of_it(tmp_path: Path) -> None:
    """Pages follow DRAIN, the original's clients are closed and connect again by themselves."""

    async def main(cluster: ClusterProcesses) -> None:
        first, second = cluster.urls
        desk = await V1Client(DESK).start(first)
        movers = [await Mover(f"u{number}").start(second) for number in range(20)]
        original = await OriginalClient("old", second).start_at(
            second.replace("http", "ws") + "/websocket/chat/old"
        )
        for mover in movers:
            await mover.wait_for(0)
        await asyncio.gather(*(mover.say("going", client_id="c1") for mover in movers))
        for mover in movers:
            await mover.wait_for(5)
        stopping = asyncio.ensure_future(asyncio.to_thread(cluster.stop, "n2"))
        for mover in movers:
            await mover.wait_for(10)
            assert mover.of(10)[0]["data"]["url"] == first
        await original.ended()
        assert original.close_code == 4000
        moved = []
        for mover in movers:
            assert mover.moved is not None
            moved.append(await mover.moved)
        await stopping
        await desk.wait_for(3, 20)
        online = await answer(f"{first}/api/online")
        assert {f"u{number}" for number in range(20)} <= set(online["data"])
        assert online["unknown"] == []
        assert desk.of(2) == []
        for client in [*moved, desk]:
            await client.close()

    with ClusterProcesses(tmp_path, nodes=2) as cluster:
        asyncio.run(main(cluster))
