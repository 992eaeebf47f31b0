"""Chat clients for tests, over real WebSockets and HTTP.

`OriginalClient` does what the page of the original ATP chat room does, and nothing else: it
knows keys 1, 2 and 3, the three REST calls and bare message objects. `V1Client` keeps every
event it got, and waits for those a test asks for.
"""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import quote

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

DESK = "super_admin"
WAIT_S = 15.0

Event = dict[str, Any]


async def fetch(url: str, **headers: str) -> HTTPResponse:
    """GET an address; refused requests are answers too."""
    request = HTTPRequest(url, headers=headers, request_timeout=WAIT_S)
    return await AsyncHTTPClient().fetch(request, raise_error=False)


async def answer(url: str) -> Any:
    """GET an address of the REST API that must succeed, and return its whole answer."""
    response = await fetch(url)
    decoded = json.loads(response.body)
    assert response.code == 200, decoded
    assert decoded["code"] == 1
    return decoded


async def until(
    what: str,
    condition: Callable[[], bool],
    state: Callable[[], object],
    within_s: float = WAIT_S,
) -> None:
    """Wait for a condition; past the deadline fail with the last state."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}; last state: {state()}")
        await asyncio.sleep(0.01)


class Connection:
    """A WebSocket whose events are handed to `on_event` as they arrive."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.close_code: int | None = None
        self._socket: WebSocketClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None

    async def open(self, address: str, *subprotocols: str) -> None:
        """Connect, and read until the connection ends."""
        self._socket = await websocket_connect(address, subprotocols=list(subprotocols) or None)
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def send_raw(self, text: str | bytes) -> None:
        """Send a text message, or a binary one."""
        assert self._socket is not None
        await self._socket.write_message(text, binary=isinstance(text, bytes))

    async def close(self) -> None:
        """Close from this side and wait for the end."""
        if self._socket is not None:
            self._socket.close()
        await self.ended()

    async def ended(self) -> None:
        """Wait until the connection has ended."""
        if self._reader is not None:
            await asyncio.wait_for(asyncio.shield(self._reader), WAIT_S)

    def on_event(self, event: Event) -> None:
        """Take an event."""
        raise NotImplementedError

    async def _read(self) -> None:
        assert self._socket is not None
        while (text := await self._socket.read_message()) is not None:
            self.on_event(json.loads(text))
        self.close_code = self._socket.close_code
        self._socket.close()


class OriginalClient(Connection):
    """The original page's logic, for a customer or for the desk."""

    def __init__(self, user: str, url: str, prefix: str = "/test/mq") -> None:
        super().__init__(user)
        self.base = url + prefix
        self.online_list: list[str] = []
        self.user_list: list[str] = []
        self.online = 0
        self.selected: str | None = None if user == DESK else DESK
        self.shown: list[Event] = []
        self.unread: set[str] = set()
        self.ignored: list[int] = []

    async def start(self) -> Self:
        """Ask where to connect, connect, and load the history."""
        address = await answer(f"{self.base}/chatMsg/getWebSocketAddress/{quote(self.user)}")
        return await self.start_at(address["data"])

    async def start_at(self, address: str) -> Self:
        """Connect to an address, and load the history as a customer does."""
        await self.open(address)
        if self.user != DESK:
            self.shown = await self.history(self.user)
        return self

    async def history(self, user: str) -> list[Event]:
        """Load a conversation."""
        found = await answer(f"{self.base}/chatMsg/getHistoryChat/{quote(user)}")
        return list(found["data"])

    async def say(self, text: str) -> None:
        """Send a bare message object."""
        now = datetime.datetime.now(datetime.UTC)
        message = {
            "msg": text,
            "sender": self.user,
            "receiver": self.selected,
            "createTime": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        await self.send_raw(json.dumps(message))

    async def select(self, user: str) -> None:
        """Show another customer's conversation."""
        self.selected = user
        self.unread.discard(user)
        self.shown = await self.history(user)

    def on_event(self, event: Event) -> None:
        """Do what the page does with keys 1, 2 and 3."""
        if event["key"] in (1, 2):
            self.online_list = event["onlineList"]
            self.user_list = event["userList"]
            self.online = event["online"]
            if self.selected is None and self.online_list:
                self.selected = self.online_list[0]
        elif event["key"] == 3:
            data = event["data"]
            if data["sender"] in (self.user, DESK, self.selected):
                self.shown.append(data)
            else:
                self.unread.add(data["sender"])
        else:
            self.ignored.append(event["key"])

    def texts(self) -> list[str]:
        """What stands on the page."""
        return [data["msg"] for data in self.shown]


class V1Client(Connection):
    """A client of ``zmqchat.v1`` that keeps what it got."""

    def __init__(self, user: str) -> None:
        super().__init__(user)
        self.events: list[Event] = []

    async def start(self, url: str) -> Self:
        """Connect to a node."""
        address = url.replace("http", "ws", 1) + "/websocket/mq/chat/" + quote(self.user, safe="")
        await self.open(address, "zmqchat.v1")
        return self

    async def send(self, event: object) -> None:
        """Send an event."""
        await self.send_raw(json.dumps(event))

    async def say(self, text: str, to: str = DESK, client_id: str | None = None) -> None:
        """Send a message, as oneself or, on the desk, as the desk."""
        data = {"msg": text, "sender": self.user, "receiver": to, "clientId": client_id}
        await self.send({"key": 3, "data": data})

    async def resume(self, conversation: str, after: int) -> None:
        """Ask for what was missed of a conversation."""
        await self.send({"key": 9, "data": {"conversation": conversation, "after": after}})

    def on_event(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)

    def of(self, key: int) -> list[Event]:
        """All events of a key so far."""
        return [event for event in self.events if event["key"] == key]

    async def wait_for(self, key: int, count: int = 1) -> list[Event]:
        """Wait until so many events of a key have come."""
        await until(
            f"{count} events of key {key} for {self.user}",
            lambda: len(self.of(key)) >= count,
            lambda: (len(self.of(key)), self.events[-3:]),
        )
        return self.of(key)
