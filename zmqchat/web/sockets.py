"""The register of a node's open sockets: written once per wake-up, pinged, drained, closed."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import random
from collections.abc import Callable
from typing import Protocol

from zmqchat.errors import CLOSE_MEANINGS, CloseCode
from zmqchat.store.ports import NodeRecord
from zmqchat.wire.client import encode_drain
from zmqchat.wire.websocket import text_frame

RFC_PING_S = 30.0  # how often silent clients are pinged
DRAINED_A_SECOND = 200  # clients that other nodes are asked to take
LEAST_DRAIN_S, MOST_DRAIN_S = 0.2, 4.0
CLOSING_S = 1.0  # how long clients may take to end their side when the node stops


class Socket(Protocol):
    """What the register asks of an open socket."""

    @property
    def speaks_v1(self) -> bool:
        """Whether the client understands DRAIN."""

    def push(self, event: bytes) -> None:
        """Queue an event for this client alone."""

    def write_outbox(self) -> None:
        """Write everything that waits, unless a write is under way."""

    def check_alive(self) -> None:
        """Ping a client that was silent since the last check; close it after two in vain."""

    def end_when_written(self, code: CloseCode) -> None:
        """Close once the client has taken what waits for it."""


class Sockets:
    """All open sockets of a node: written once per wake-up, pinged, drained, closed."""

    def __init__(self) -> None:
        self._open: dict[int, Socket] = {}
        self._dirty: list[Socket] = []
        self._numbers = 0
        self._emptied: asyncio.Event | None = None  # waited for when the node stops
        self.closes: collections.Counter[str] = collections.Counter()  # by close code

    def next_number(self) -> int:
        """Give a session its number."""
        self._numbers += 1
        return self._numbers

    def add(self, number: int, socket: Socket) -> None:
        """Note an open socket."""
        self._open[number] = socket

    def remove(self, number: int) -> bool:
        """Note a closed one; False if it never was open."""
        was_open = self._open.pop(number, None) is not None
        if self._emptied is not None and not self._open:
            self._emptied.set()
        return was_open

    def closed(self, code: int) -> None:
        """Count a close; what clients make up themselves is counted together."""
        known = code in CLOSE_MEANINGS or 1000 <= code < 1016
        self.closes[str(code) if known else "other"] += 1

    def wake(self, socket: Socket) -> None:
        """Write a socket's outbox when everything of this wake-up has been put into it."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(socket)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for socket in dirty:
            socket.write_outbox()

    async def keep_pinging(self) -> None:
        """Ping silent clients until cancelled; close those that do not answer."""
        while True:
            await asyncio.sleep(RFC_PING_S)
            for socket in list(self._open.values()):
                socket.check_alive()

    async def drain(self, elsewhere: Callable[[], NodeRecord | None], rng: random.Random) -> None:
        """Send the clients of v1 to other nodes, one after the other, and wait until they went.

        Who does not go in time, or does not know how to, is left to `close_all`.
        """
        moving = [socket for socket in self._open.values() if socket.speaks_v1]
        window_s = min(max(len(moving) / DRAINED_A_SECOND, LEAST_DRAIN_S), MOST_DRAIN_S)
        told = 0
        for socket in moving:
            if (node := elsewhere()) is not None:
                told += 1
                after_ms = int(rng.uniform(0, window_s) * 1000)
                socket.push(text_frame(encode_drain(node.name, node.url, after_ms)))
        if told:
            await self._wait_until_empty(window_s + CLOSING_S)

    async def _wait_until_empty(self, seconds: float) -> None:
        if self._open:
            self._emptied = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._emptied.wait()

    async def close_all(self, code: CloseCode) -> None:
        """Write what waits, close every socket, and give the clients a moment to take it."""
        self._flush()
        for socket in list(self._open.values()):
            socket.end_when_written(code)
        await self._wait_until_empty(CLOSING_S)

    def __len__(self) -> int:
        return len(self._open)
