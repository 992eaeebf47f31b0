"""What a client has missed: RESUME, as sockets see it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.clients import DESK, V1Client, fetch, until
from tests.web.one_node import config_of, one_node
from tests.wire.test_websocket import frame
from zmqchat import resumes
from zmqchat.config import Node
from zmqchat.core.sessions import Sessions
from zmqchat.errors import CloseCode, StoreUnavailable
from zmqchat.node import RunningNode, running
from zmqchat.store.ports import Draft

LARGE = "x" * 60 * 1024
READER_BYTES_A_S = 500_000
TOO_MANY = 150  # large messages: more than the system's buffers take for somebody who does not read


async def store(node: RunningNode, count: int, text: str = "m", conversation: str = "u1") -> None:
    """Store messages of a customer as if they had come in at another node."""
    before = node._store.counts.stored
    for _ in range(count):
        draft = Draft(
            conversation, conversation, False, conversation, DESK, None, text, client_id=None
        )
        assert node._store.append(draft, lambda _outcome: None)
    await until(
        f"{count} stored",
        lambda: node._store.counts.stored == before + count,
        lambda: node._store.counts.stored - before,
    )


def seqs(client: V1Client) -> list[int]:
    """The seqs of all messages a client got, as they came."""
    return [event["data"]["seq"] for event in client.of(3)]


def shown(came: Sequence[int], after: int = 0) -> list[int]:
    """What a client shows that follows the rule: next is shown, lower is dropped."""
    result = []
    for seq in came:
        if seq == after + 1:
            after = seq
            result.append(seq)
        else:
            assert seq <= after, f"a hole before {seq}: {came}"
    return result


def test_the_missed_messages_come_in_order_and_then_the_answer(tmp_path: Path) -> None:
    """Everything after the seq a client names, then up to where that is."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            await store(node, 40)
            client = await V1Client("u1").start(node.record.url)
            for number, (after, count) in enumerate(((0, 40), (37, 3), (40, 0)), start=1):
                client.events.clear()
                await client.resume("u1", after)
                (answer,) = await client.wait_for(9)
                assert seqs(client) == list(range(after + 1, after + 1 + count)), number
                assert client.events[-1] is answer
                assert answer["data"] == {"conversation": "u1", "upTo": 40, "complete": True}
            await client.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("user", "data", "code"),
    [
        ("u1", {"conversation": "u2", "after": 0}, "forbidden"),
        ("u1", {"since": 0}, "forbidden"),
        ("u1", {"conversation": "u1"}, "bad_event"),
        ("u1", {"conversation": "u1", "after": -1}, "bad_event"),
        ("u1", {"conversation": "u1", "after": 2**63}, "bad_event"),
        ("u1", {"conversation": "u1", "after": "0"}, "bad_event"),
        ("u1", {"conversation": "", "after": 0}, "bad_name"),
        (DESK, {"conversation": "u1", "after": 0, "since": 0}, "bad_event"),
        (DESK, {"since": -1}, "bad_event"),
        (DESK, {}, "bad_event"),
    ],
)
def test_what_may_not_be_asked_is_refused(
    tmp_path: Path, user: str, data: dict[str, Any], code: str
) -> None:
    """Each mistake gets its error code, and nothing is told."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            client = await V1Client(user).start(node.record.url)
            await client.send({"key": 9, "data": data})
            (error,) = await client.wait_for(6)
            assert error["data"]["code"] == code
            assert client.of(9) == []
            await client.close()

    asyncio.run(main())


def test_more_than_is_worth_sending_is_to_be_loaded_anew(tmp_path: Path) -> None:
    """500 missing messages are sent, of 501 none; nor where a client has seen what is not there."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            await store(node, 501)
            client = await V1Client("u1").start(node.record.url)
            for after in (0, 502):
                await client.resume("u1", after)
                answers = await client.wait_for(9, 1 + (after > 0))
                assert answers[-1]["data"] == {
                    "conversation": "u1",
                    "upTo": after,
                    "complete": False,
                }
            assert seqs(client) == []
            await client.resume("u1", 1)
            answers = await client.wait_for(9, 3)
            assert answers[-1]["data"]["complete"]
            assert seqs(client) == list(range(2, 502))
            await client.close()

    asyncio.run(main())


async def _resume_with_live_messages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Resume 30 messages while a new one is delivered before and after each read of the store."""
    async with one_node(folder) as node:
        await store(node, 30)
        desk = await V1Client(DESK).start(node.record.url)
        client = await V1Client("u1").start(node.record.url)
        live: Iterator[int] = iter(range(1, 9))

        async def say_live() -> None:
            if (number := next(live, None)) is not None:
                await desk.say(f"live {number}", to="u1", client_id=f"c{number}")
                await desk.wait_for(5, number)

        for name in ("head", "between"):
            read = getattr(node._store, name)

            async def interrupted(*arguments: Any, read: Any = read) -> Any:
                await say_live()
                answer = await read(*arguments)
                await say_live()
                return answer

            monkeypatch.setattr(node._store, name, interrupted)
        await client.resume("u1", 0)
        (answer,) = await client.wait_for(9)
        assert answer["data"]["complete"]
        await desk.say("last", to="u1")
        await until("the last", lambda: client.of(3)[-1]["data"]["msg"] == "last", lambda: client)
        await client.close()
        await desk.close()
        return seqs(client)


def test_live_messages_in_each_moment_of_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets each seq in order, with no hole, however live messages and reads meet."""
    came = asyncio.run(_resume_with_live_messages(tmp_path, monkeypatch))
    assert shown(came) == list(range(1, 40))


def test_live_messages_would_make_a_hole_if_they_were_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where live messages are not held back: so the test above can fail."""
    monkeypatch.setattr(Sessions, "deliver", Sessions.tell)
    came = asyncio.run(_resume_with_live_messages(tmp_path, monkeypatch))
    with pytest.raises(AssertionError, match="a hole"):
        shown(came)


class SlowReader:
    """A v1 client with a small window that reads a fixed number of bytes a second."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.close_code: int | None = None

    async def run(self, url: str, user: str, last_seq: int) -> None:
        """Resume from the beginning and read up to a seq, or until the connection is closed."""
        parts = urlsplit(url)
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            raw.setblocking(False)
            await asyncio.get_running_loop().sock_connect(raw, (parts.hostname, parts.port))
            reader, writer = await asyncio.open_connection(sock=raw, limit=32 * 1024)
            writer.write(
                f"GET /websocket/chat/{user} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
                "Sec-WebSocket-Protocol: zmqchat.v1\r\n\r\n".encode()
            )
            await reader.readuntil(b"\r\n\r\n")
            resume = {"key": 9, "data": {"conversation": user, "after": 0}}
            writer.write(frame(json.dumps(resume).encode()))
            try:
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
                    await self._read(reader, last_seq)
            finally:
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader, last_seq: int) -> None:
        exactly = functools.partial(self._exactly, reader, asyncio.get_running_loop().time())
        self._taken = 0
        while not self.events or self.events[-1].get("data", {}).get("seq") != last_seq:
            kind, size = await exactly(2)
            if size > 125:
                size = int.from_bytes(await exactly(2 if size == 126 else 8), "big")
            payload = await exactly(size)
            if kind == 0x88:
                self.close_code = int.from_bytes(payload[:2], "big")
                return
            self.events.append(json.loads(payload))

    async def _exactly(self, reader: asyncio.StreamReader, start: float, size: int) -> bytes:
        pieces = []
        while size > 0:
            piece = await reader.readexactly(min(size, 16 * 1024))
            pieces.append(piece)
            size -= len(piece)
            self._taken += len(piece)
            due = start + self._taken / READER_BYTES_A_S
            await asyncio.sleep(max(0, due - asyncio.get_running_loop().time()))
        return b"".join(pieces)


@contextlib.asynccontextmanager
async def reading_slowly(node: RunningNode, last_seq: int) -> AsyncIterator[None]:
    """Let somebody resume who leaves, in the midst of it, when the block is left."""
    slow = SlowReader()
    reading = asyncio.create_task(slow.run(node.record.url, "u1", last_seq))
    await until("the first page", lambda: len(slow.events) > 2, lambda: slow.events[:1])
    yield
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading


@pytest.mark.timeout(60)
def test_a_slow_reader_resumes_without_being_closed(tmp_path: Path) -> None:
    """100 messages of 60 KiB reach who reads 500 kB/s, and live ones meanwhile in their turn."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            await store(node, 100, LARGE)
            slow = SlowReader()
            reading = asyncio.create_task(slow.run(node.record.url, "u1", 111))
            desk = await V1Client(DESK).start(node.record.url)
            await until("the first page", lambda: len(slow.events) > 5, lambda: slow.events[:1])
            for number in range(10):
                await desk.say(LARGE, to="u1", client_id=f"c{number}")
                await desk.wait_for(5, number + 1)
            await until(
                "the answer", lambda: slow.events[-1]["key"] == 9, lambda: len(slow.events), 40
            )
            assert slow.events[-1]["data"] == {
                "conversation": "u1",
                "upTo": 110,
                "complete": True,
            }
            await desk.say("live again", to="u1")
            await reading
            assert slow.close_code is None
            came = [event["data"]["seq"] for event in slow.events if event["key"] == 3]
            assert shown(came) == list(range(1, 112))
            await desk.close()

    asyncio.run(main())


def test_without_pages_a_slow_reader_would_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once is more than may wait for a client: so the pages are what keeps it."""

    async def no_waiting(_outbox: object) -> None:
        pass

    async def main() -> None:
        async with one_node(tmp_path) as node:
            await store(node, TOO_MANY, LARGE)
            async with reading_slowly(node, TOO_MANY):
                await until("it is sent away", lambda: not node._sockets, lambda: node._sockets)
            closes = node._sockets.closes
            too_slow = str(int(CloseCode.TOO_SLOW))
            await until("it is closed", lambda: closes[too_slow] == 1, lambda: closes)

    monkeypatch.setattr(resumes, "room_in", no_waiting)
    asyncio.run(main())


def test_a_client_that_leaves_during_a_resume_leaves_nothing(tmp_path: Path) -> None:
    """The rest of its messages is sent to nobody, and nothing of it is kept."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            await store(node, TOO_MANY, LARGE)
            async with reading_slowly(node, TOO_MANY):
                assert len(node._resumes._workers) == 1
            await until(
                "nothing kept",
                lambda: not (node._resumes._workers or node._resumes._queues),
                lambda: node._resumes._workers,
            )

    asyncio.run(main())


def test_another_node_resumes(tmp_path: Path) -> None:
    """What came in at one node is resumed at the other, and is live there afterwards."""

    async def main() -> None:
        config = config_of(tmp_path)
        both = [*config.nodes, Node(name="n2", http="127.0.0.1:0")]
        config = type(config)(
            nodes=both, database=config.database, sessions=config.sessions, mesh=config.mesh
        )
        async with running(config, both[0]) as first, running(config, both[1]) as second:
            await asyncio.gather(first.join(), second.join())
            desk = await V1Client(DESK).start(first.record.url)
            for number in range(5):
                await desk.say(f"{number}", to="u1", client_id=f"c{number}")
            await desk.wait_for(5, 5)
            client = await V1Client("u1").start(second.record.url)
            await client.resume("u1", 2)
            (answer,) = await client.wait_for(9)
            assert answer["data"] == {"conversation": "u1", "upTo": 5, "complete": True}
            await client.say("and back", client_id="c")
            await until("the last", lambda: shown(seqs(client), 2) == [3, 4, 5, 6], lambda: client)
            await client.close()
            await desk.close()

    asyncio.run(main())


def test_a_flood_is_answered_a_few_at_a_time(tmp_path: Path) -> None:
    """The same again is one resume; beyond a hundred conversations an agent is told to wait."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            await store(node, 20)
            client = await V1Client("u1").start(node.record.url)
            for _ in range(200):
                await client.resume("u1", 0)
            await client.say("still served", client_id="c1")
            await client.wait_for(5)
            await until(
                "all answered", lambda: not node._resumes._workers, lambda: node._resumes._queues
            )
            assert client.of(6) == []
            await client.wait_for(9)
            await until(
                "everything",
                lambda: shown(seqs(client)) == list(range(1, 22)),
                lambda: shown(seqs(client)),
            )
            desk = await V1Client(DESK).start(node.record.url)
            loop_turn = asyncio.Event()
            head = node._store.head

            async def held(conversation: str, before_ms: int | None = None) -> int:
                await loop_turn.wait()
                return await head(conversation, before_ms)

            node._store.head = held  # type: ignore[method-assign]
            for number in range(150):
                await desk.resume(f"u{number}", 0)
            errors = await desk.wait_for(6, 49)
            assert {event["data"]["code"] for event in errors} == {"busy"}
            assert all(event["data"]["retryable"] for event in errors)
            loop_turn.set()
            await desk.wait_for(9, 101)
            await client.close()
            await desk.close()

    asyncio.run(main())


def test_a_database_that_does_not_answer_leaves_the_client_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client is told to load anew, and has what was sent; live messages go on."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            await store(node, 3)
            client = await V1Client("u1").start(node.record.url)
            desk = await V1Client(DESK).start(node.record.url)

            async def unavailable(*_: object) -> None:
                raise StoreUnavailable("gone for the test")

            with monkeypatch.context() as patch:
                for name in ("head", "changed"):
                    patch.setattr(node._store, name, unavailable)
                await client.resume("u1", 1)
                await desk.send({"key": 9, "data": {"since": 7}})
                (answer,) = await client.wait_for(9)
                assert answer["data"] == {"conversation": "u1", "upTo": 1, "complete": False}
                (answer,) = await desk.wait_for(9)
                assert answer["data"] == {"heads": [], "time": 7, "complete": False}
            await client.say("live")
            await client.wait_for(3)
            assert seqs(client) == [4]
            metrics = (await fetch(f"{node.record.url}/metrics")).body.decode()
            assert 'zmqchat_resumes_total{result="incomplete"} 2.0' in metrics
            await client.close()
            await desk.close()

    asyncio.run(main())


def test_an_agent_is_told_what_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversations with a message since then, with head and marks; too many are not listed."""

    async def main() -> None:
        async with one_node(tmp_path) as node:
            await store(node, 1, conversation="old")
            desk = await V1Client(DESK).start(node.record.url)
            (welcome,) = await desk.wait_for(0)
            assert len(welcome["data"]["databaseEpoch"]) == 16
            await store(node, 2, conversation="new")
            await desk.send({"key": 8, "data": {"conversation": "new", "seq": 1}})
            await desk.wait_for(8)
            monkeypatch.setattr(resumes, "LOOK_BACK_MS", 0)
            since = welcome["data"]["time"]
            await desk.send({"key": 9, "data": {"since": since}})
            (answer,) = await desk.wait_for(9)
            (head,) = [head for head in answer["data"]["heads"] if head["conversation"] == "new"]
            assert head.pop("updatedAt").endswith("Z")
            assert head == {"conversation": "new", "seq": 2, "customerRead": 2, "deskRead": 1}
            assert answer["data"]["time"] >= since
            assert answer["data"]["complete"]
            monkeypatch.setattr(resumes, "MOST_HEADS", 1)
            await desk.send({"key": 9, "data": {"since": 0}})
            answers = await desk.wait_for(9, 2)
            assert (answers[-1]["data"]["heads"], answers[-1]["data"]["complete"]) == ([], False)
            await desk.close()

    asyncio.run(main())
