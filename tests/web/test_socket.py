"""The WebSocket of one user: what is answered, what closes it, what it is told."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from tests.clients import DESK, V1Client, fetch, until
from tests.contract.stores import SqlitePlace
from tests.web.one_node import one_node
from tests.wire.test_websocket import frame
from zmqchat.errors import CloseCode
from zmqchat.store import database

GOOD = {"msg": "hi", "sender": "u1", "receiver": DESK}

BAD_INPUT = [
    ("hello", "bad_json"),
    ("[1, 2]", "bad_event"),
    ('{"sender":"u1","receiver":"super_admin"}', "bad_event"),
    ('{"msg":5,"sender":"u1","receiver":"super_admin"}', "bad_event"),
    ('{"key":77,"data":{}}', "unknown_key"),
    (json.dumps({**GOOD, "sender": "u2"}), "forbidden"),
    (json.dumps({**GOOD, "sender": DESK}), "forbidden"),
    (json.dumps({**GOOD, "receiver": "u2"}), "forbidden"),
    (json.dumps({**GOOD, "msg": " \n "}), "empty_message"),
    (json.dumps({**GOOD, "msg": "x" * 70_000}), "message_too_large"),
    (json.dumps({**GOOD, "clientId": "y" * 65}), "bad_name"),
    ('{"key":8,"data":{"conversation":"u2","seq":1}}', "forbidden"),
]


def test_bad_input_is_answered_and_the_connection_lives_on(tmp_path: Path) -> None:
    """Each mistake gets its error code, in order, and a good message then still works."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            client = await V1Client("u1").start(node.record.url)
            for text, _ in BAD_INPUT:
                await client.send_raw(text)
            await client.say("still here", client_id="c1")
            await client.wait_for(5)
            assert [event["data"]["code"] for event in client.of(6)] == [
                code for _, code in BAD_INPUT
            ]
            assert [event["data"]["msg"] for event in client.of(3)] == ["still here"]
            await client.close()

    asyncio.run(main())


def test_an_agent_may_not_write_under_another_name(tmp_path: Path) -> None:
    """The desk writes as the desk, to customers only."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            desk = await V1Client(DESK).start(node.record.url)
            for sender, receiver in ((DESK, DESK), ("u1", DESK), (DESK, "")):
                await desk.send({"msg": "x", "sender": sender, "receiver": receiver})
            errors = await desk.wait_for(6, 3)
            codes = [event["data"]["code"] for event in errors]
            assert codes == ["forbidden", "forbidden", "bad_name"]
            await desk.close()

    asyncio.run(main())


async def _raw_connection(url: str, user: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for a WebSocket by hand, to send what no library would."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /websocket/chat/{user} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return reader, writer


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b'{"msg":"\xff"}'), CloseCode.INVALID_TEXT),
        (frame(b"\xff\xfe"), CloseCode.INVALID_TEXT),
        (frame(b"\x00\x01", 0x2), CloseCode.UNSUPPORTED_DATA),
        (frame(b"x" * (512 * 1024 + 1)), CloseCode.TOO_BIG),
        (b"\x81\x02hi", 1002),
    ],
    ids=["invalid in JSON", "invalid UTF-8", "binary", "600 kB", "not masked"],
)
def test_what_breaks_the_protocol_is_closed_as_the_rfc_says(
    tmp_path: Path, sent: bytes, code: int
) -> None:
    """The close frame with its code arrives, then the connection ends."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            reader, writer = await _raw_connection(node.record.url, "u1")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            head = await asyncio.wait_for(reader.readexactly(2), 5)
            assert head[0] == 0x88
            payload = await reader.readexactly(head[1])
            assert int.from_bytes(payload[:2], "big") == code
            await asyncio.wait_for(reader.read(), 5)
            writer.close()

    asyncio.run(main())


def test_a_name_that_breaks_the_rules_is_closed_for_good(tmp_path: Path) -> None:
    """The close code forbids reconnecting, and its reason says why."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            client = await V1Client(" u1").start(node.record.url)
            await client.ended()
            assert client.close_code == CloseCode.PROTOCOL

    asyncio.run(main())


def test_pages_of_other_origins_are_refused(tmp_path: Path) -> None:
    """Only the node itself, under any loopback name, and the allowed origins may connect."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            url = node.record.url
            address = url.replace("http", "ws") + "/websocket/chat/u1"
            for origin in (url, url.replace("127.0.0.1", "localhost"), "https://shop.example"):
                socket = await websocket_connect(HTTPRequest(address, headers={"Origin": origin}))
                socket.close()
            with pytest.raises(HTTPClientError, match="403"):
                await websocket_connect(
                    HTTPRequest(address, headers={"Origin": "https://evil.example"})
                )

    asyncio.run(main())


def test_welcome_and_ping(tmp_path: Path) -> None:
    """A v1 client is greeted, and its PING comes back."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            client = await V1Client("u1").start(node.record.url)
            (welcome,) = await client.wait_for(0)
            data = welcome["data"]
            assert data["node"] == "n1"
            assert data["nodes"] == [node.record.url]
            assert (data["user"], data["role"]) == ("u1", "customer")
            assert data["pingIntervalMs"] == 10_000
            await client.send({"key": 13})
            await client.wait_for(13)
            await client.close()

    asyncio.run(main())


def test_a_retry_is_the_same_message(tmp_path: Path) -> None:
    """The same client id is acknowledged as a duplicate, and shown once to who follows."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            client = await V1Client("u1").start(node.record.url)
            desk = await V1Client(DESK).start(node.record.url)
            await client.say("one", client_id="c1")
            await client.wait_for(5)
            await client.say("one", client_id="c1")
            await client.say("two", client_id="c1")
            await client.say("three", client_id="c3")
            acks = [event["data"] for event in await client.wait_for(5, 3)]
            assert [ack["duplicate"] for ack in acks] == [False, True, False]
            assert acks[0]["id"] == acks[1]["id"]
            (error,) = client.of(6)
            assert error["data"]["code"] == "client_id_reused"
            assert error["data"]["clientId"] == "c1"
            await desk.wait_for(3, 2)
            assert [event["data"]["msg"] for event in desk.of(3)] == ["one", "three"]
            await client.close()
            await desk.close()

    asyncio.run(main())


def test_read_marks_reach_both_sides(tmp_path: Path) -> None:
    """A mark moves up to the head, once; a mark that does not move is not told."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            client = await V1Client("u1").start(node.record.url)
            desk = await V1Client(DESK).start(node.record.url)
            await client.say("hello")
            await desk.wait_for(3)
            await desk.send({"key": 8, "data": {"conversation": "u1", "seq": 99}})
            await desk.send({"key": 8, "data": {"conversation": "u1", "seq": 1}})
            await desk.send({"key": 8, "data": {"conversation": "nobody", "seq": 1}})
            (read,) = await client.wait_for(8)
            assert read["data"] == {"conversation": "u1", "seq": 1, "reader": DESK}
            await client.say("more")
            await desk.wait_for(3, 2)
            assert len(client.of(8)) == 1
            await client.close()
            await desk.close()

    asyncio.run(main())


def test_presence_of_v1_is_changes_with_a_version(tmp_path: Path) -> None:
    """An agent gets key 1 at once, then who came and who went, each with the next version."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            desk = await V1Client(DESK).start(node.record.url)
            (first,) = await desk.wait_for(1)
            assert (first["opened"], first["online"]) == ([], 0)
            clients = [await V1Client(f"u{i}").start(node.record.url) for i in range(3)]
            await until(
                "three came",
                lambda: sum(len(event["opened"]) for event in desk.of(1)) == 3,
                lambda: desk.of(1),
            )
            assert desk.of(1)[-1]["online"] == 3
            await clients[0].close()
            (closed,) = await desk.wait_for(2)
            assert closed["closed"] == ["u0"]
            assert closed["online"] == 2
            versions = [event["listVersion"] for event in desk.events if event["key"] in (1, 2)]
            assert versions == list(range(versions[0], versions[0] + len(versions)))
            for client in [*clients[1:], desk]:
                await client.close()

    asyncio.run(main())


def test_a_request_that_is_refused_logs_nobody_in(tmp_path: Path) -> None:
    """Neither a foreign page nor a plain request takes the desk's session over."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            url = node.record.url
            desk = await V1Client(DESK).start(url)
            address = f"/websocket/chat/{DESK}"
            assert (await fetch(url + address)).code == 400
            foreign = HTTPRequest(
                url.replace("http", "ws") + address, headers={"Origin": "https://evil.example"}
            )
            with pytest.raises(HTTPClientError, match="403"):
                await websocket_connect(foreign)
            await desk.send({"key": 13})
            await desk.wait_for(13)
            assert desk.of(4) == []
            other = await V1Client(DESK).start(url)
            await desk.ended()
            assert desk.close_code == CloseCode.LOGGED_IN_ELSEWHERE
            assert [event["key"] for event in desk.events][-1] == 4
            await other.close()

    asyncio.run(main())


def test_a_database_that_does_not_answer_refuses_logins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client is told to try again, and the session that is open stays."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            url = node.record.url
            desk = await V1Client(DESK).start(url)
            with monkeypatch.context() as patch:
                patch.setattr(database, "LOG_IN_PATIENCE_S", 0.05)
                with SqlitePlace(tmp_path).held(), pytest.raises(HTTPClientError, match="503"):
                    await V1Client(DESK).start(url)
            await desk.send({"key": 13})
            await desk.wait_for(13)
            await desk.close()

    asyncio.run(main())


def test_a_client_that_leaves_during_its_login_leaves_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The database takes its time, the client does not wait: no session stays, no mistake shows."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            queue = node._store.counts
            with SqlitePlace(tmp_path).held():
                _, writer = await _raw_connection(node.record.url, DESK)
                await until("it logs in", lambda: queue.queue_length == 1, lambda: queue)
                writer.close()
                await writer.wait_closed()
                await asyncio.sleep(0.05)  # the node hears of it while the login waits
            await until("it has logged in", lambda: queue.queue_length == 0, lambda: queue)
            desk = await V1Client(DESK).start(node.record.url)
            await desk.wait_for(1)
            assert len(node._delivery.sessions) == 1
            await desk.close()

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
