"""The REST calls of a node."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.clients import DESK, V1Client, answer, fetch
from tests.web.one_node import one_node


def test_the_three_calls_of_the_original_with_and_without_prefix(tmp_path: Path) -> None:
    """Address, history and user list under both paths."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            url = node.record.url
            client = await V1Client("张三").start(url)
            await client.say("hi")
            await client.wait_for(3)
            await client.close()
            for base in (url, url + "/test/mq"):
                quoted = "%E5%BC%A0%E4%B8%89"
                address = await answer(f"{base}/chatMsg/getWebSocketAddress/{quoted}")
                expected = url.replace("http", "ws") + "/websocket/mq/chat/" + quoted
                assert address["data"] == expected
                history = await answer(f"{base}/chatMsg/getHistoryChat/{quoted}")
                assert [data["msg"] for data in history["data"]] == ["hi"]
                assert history["hasMore"] is False
                users = await answer(f"{base}/chatMsg/getUserList")
                assert users["data"] == ["张三"]

    asyncio.run(main())


def test_history_is_read_in_pages(tmp_path: Path) -> None:
    """The newest first page, then before and after a seq; each page oldest first."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            client = await V1Client("u1").start(node.record.url)
            for number in range(1, 8):
                await client.say(f"m{number}")
            await client.wait_for(3, 7)
            await client.close()

            async def page(query: str) -> tuple[list[int], bool]:
                found = await answer(f"{node.record.url}/chatMsg/getHistoryChat/u1?{query}")
                return [data["seq"] for data in found["data"]], found["hasMore"]

            assert await page("limit=3") == ([5, 6, 7], True)
            assert await page("limit=3&before=5") == ([2, 3, 4], True)
            assert await page("limit=3&before=2") == ([1], False)
            assert await page("limit=3&after=0") == ([1, 2, 3], True)
            assert await page("limit=3&after=5") == ([6, 7], False)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "status", "error", "words"),
    [
        ("/chatMsg/getHistoryChat/u1?limit=0", 400, "bad_argument", "limit: expected a number 1"),
        ("/chatMsg/getHistoryChat/u1?limit=501", 400, "bad_argument", "1 to 500, got '501'"),
        ("/chatMsg/getHistoryChat/u1?limit=x", 400, "bad_argument", "got 'x'"),
        ("/chatMsg/getHistoryChat/u1?before=-1", 400, "bad_argument", "before"),
        ("/chatMsg/getHistoryChat/u1?before=2&after=1", 400, "bad_argument", "exclude"),
        ("/chatMsg/getHistoryChat/%20u1", 400, "bad_name", "space"),
        ("/chatMsg/getWebSocketAddress/" + "x" * 65, 400, "bad_name", "65 characters"),
        ("/api/conversations?before=nonsense", 400, "bad_argument", "before"),
        ("/api/nothing", 404, "not_found", "/api/nothing"),
        ("/chatMsg/getHistoryChat/", 404, "not_found", "nothing at"),
    ],
)
def test_bad_requests_are_answered_by_name(
    tmp_path: Path, path: str, status: int, error: str, words: str
) -> None:
    """The status, the stable word, and a sentence with the value at hand."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            response = await fetch(node.record.url + path)
            decoded = json.loads(response.body)
            assert (response.code, decoded["code"], decoded["error"]) == (status, 0, error)
            assert words in decoded["msg"]

    asyncio.run(main())


def test_the_desks_lists(tmp_path: Path) -> None:
    """Who is online in the order of names, and conversations with unread and last line."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            url = node.record.url
            clients = [await V1Client(user).start(url) for user in ("b", "a", "c")]
            for client in clients:
                await client.wait_for(0)
                await client.say(f"from {client.user}")
                await client.wait_for(3)
            online = await answer(f"{url}/api/online?limit=2")
            assert (online["data"], online["hasMore"], online["online"]) == (["a", "b"], True, 3)
            assert (await answer(f"{url}/api/online?after=b"))["data"] == ["c"]
            rows = (await answer(f"{url}/api/conversations?limit=2"))["data"]
            assert [row["conversation"] for row in rows] == ["c", "a"]
            assert [row["unread"] for row in rows] == [1, 1]
            assert rows[0]["lastMessage"]["msg"] == "from c"
            rest = await answer(f"{url}/api/conversations?before={rows[-1]['cursor']}")
            assert [row["conversation"] for row in rest["data"]] == ["b"]
            assert rest["hasMore"] is False
            for client in clients:
                await client.close()

    asyncio.run(main())


def test_health_and_metrics(tmp_path: Path) -> None:
    """A running node is live and ready, and its counters tell what happened."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            url = node.record.url
            await answer(f"{url}/livez")
            ready = (await answer(f"{url}/readyz"))["data"]
            assert set(ready["checks"].values()) == {"ok"}
            assert ready["database"].endswith("chat.db")
            client = await V1Client("u1").start(url)
            await client.say("hi", client_id="c1")
            await client.wait_for(5)
            await client.say("hi", client_id="c1")
            await client.wait_for(5, 2)
            text = (await fetch(f"{url}/metrics")).body.decode()
            assert 'zmqchat_messages_total{result="stored"} 1.0' in text
            assert 'zmqchat_messages_total{result="duplicate"} 1.0' in text
            assert 'zmqchat_sessions{role="customer"} 1.0' in text
            assert 'zmqchat_mesh_dropped_total{reason="cluster"} 0.0' in text
            assert "zmqchat_commit_seconds_count" in text
            assert "zmqchat_delivery_seconds_bucket" in text
            await client.close()

    asyncio.run(main())


def test_pages_of_other_origins_get_nothing(tmp_path: Path) -> None:
    """An allowed origin is granted CORS without credentials, a foreign one is refused."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            address = f"{node.record.url}/chatMsg/getUserList"
            allowed = await fetch(address, Origin="https://shop.example")
            assert allowed.headers["Access-Control-Allow-Origin"] == "https://shop.example"
            assert "Access-Control-Allow-Credentials" not in allowed.headers
            foreign = await fetch(address, Origin="https://evil.example")
            assert foreign.code == 403
            assert "Access-Control-Allow-Origin" not in foreign.headers

    asyncio.run(main())


def test_pages_are_served_with_their_policy(tmp_path: Path) -> None:
    """Both pages name the desk, load nothing from elsewhere, and may reach the nodes."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            for path in ("/", "/desk"):
                page = await fetch(node.record.url + path)
                assert page.code == 200
                policy = page.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert node.record.url.replace("http", "ws") in policy
                text = page.body.decode()
                assert f'content="{DESK}"' in text
                assert "{{" not in text

    asyncio.run(main())
