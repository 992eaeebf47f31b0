"""The original page's logic chats as customer and as desk from two nodes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.clients import DESK, OriginalClient, answer, until
from tests.processes import ClusterProcesses

pytestmark = pytest.mark.cluster


async def _selected(desk: OriginalClient, user: str) -> None:
    await until(f"{user} is selected", lambda: desk.selected == user, lambda: desk.selected)


async def _shows(client: OriginalClient, texts: list[str]) -> None:
    await until(f"{client.user} shows {texts}", lambda: client.texts() == texts, client.texts)


def test_two_customers_and_the_desk_on_two_nodes(tmp_path: Path) -> None:
    """Lists, first selection, both directions, an unread dot, switching, and history."""

    async def chat(first: str, second: str) -> None:
        desk = OriginalClient(DESK, second)
        await desk.start_at(second.replace("http", "ws") + f"/websocket/mq/chat/{DESK}")
        await until("lists came", lambda: desk.online == 0, lambda: desk.online)
        customer = await OriginalClient("u1", first).start()
        await _selected(desk, "u1")
        assert desk.online_list == ["u1"]
        await customer.say("hello")
        await _shows(customer, ["hello"])
        await _shows(desk, ["hello"])
        await desk.say("how can I help?")
        await _shows(customer, ["hello", "how can I help?"])
        await _shows(desk, ["hello", "how can I help?"])
        assert [data["sender"] for data in customer.shown] == ["u1", DESK]

        other = await OriginalClient("张三", first, prefix="").start()
        await until("two online", lambda: desk.online == 2, lambda: desk.online)
        assert desk.online_list == ["张三", "u1"]
        assert desk.selected == "u1"
        await other.say("在吗")
        await until("a dot", lambda: desk.unread == {"张三"}, lambda: desk.unread)
        assert desk.texts() == ["hello", "how can I help?"]
        assert customer.texts() == ["hello", "how can I help?"]
        await desk.select("张三")
        assert desk.texts() == ["在吗"]

        await customer.close()
        await until("one online", lambda: desk.online == 1, lambda: desk.online)
        assert desk.online_list == ["张三"]
        assert set(desk.user_list) == {"u1", "张三"}
        assert (await answer(f"{first}/test/mq/chatMsg/getUserList"))["data"] == ["张三", "u1"]
        assert set(desk.ignored + customer.ignored + other.ignored) == set()
        await other.close()
        await desk.close()

    async def look_again(url: str) -> None:
        customer = await OriginalClient("u1", url).start()
        assert customer.texts() == ["hello", "how can I help?"]
        await customer.close()

    with ClusterProcesses(tmp_path, nodes=2) as cluster:
        asyncio.run(chat(*cluster.urls))
    with ClusterProcesses(tmp_path, nodes=2) as cluster:
        asyncio.run(look_again(cluster.urls[1]))
