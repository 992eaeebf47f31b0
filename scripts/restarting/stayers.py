"""Clients that stay: whenever their connection ends they connect again, as their pages do.

A page of version 1 is told to go and where to (DRAIN), and goes when its time has come. A page of
the original is closed. Both ask a node for an address; where none answers, or the connection
fails, they wait longer and longer and ask another node.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Self
from urllib.parse import quote

from tornado.httpclient import HTTPClientError

from scripts.killing.online import OnlineList
from tests.clients import DESK, Connection, Event, fetch

FIRST_WAIT_S = 0.5  # at most, after the first failure; twice as much after each further one
WELCOME_WITHIN_S = 5.0
WELCOME, DRAIN = 0, 10
V1 = ("zmqchat.v1",)
ORIGINAL: tuple[str, ...] = ()


class Life(Connection):
    """One connection of a client. ``drained`` is told where to go and when."""

    def __init__(self, user: str, on_event: Callable[[Event], None]) -> None:
        super().__init__(user)
        loop = asyncio.get_running_loop()
        self.welcomed: asyncio.Future[Event] = loop.create_future()
        self.drained: asyncio.Future[Event] = loop.create_future()
        self._on_event = on_event

    def on_event(self, event: Event) -> None:
        """Keep what is about the connection, hand on the rest."""
        if event["key"] == WELCOME:
            self.welcomed.set_result(event["data"])
        elif event["key"] == DRAIN:
            self.drained.set_result(event["data"])
        else:
            self._on_event(event)

    async def welcome(self) -> None:
        """Wait for the node's first word; raise `OSError` if the connection ends before."""
        await self._first_of(self.welcomed, WELCOME_WITHIN_S)
        if not self.welcomed.done():
            raise ConnectionError("no welcome")

    async def over(self) -> str | None:
        """Wait until it is time to leave; return the url to go to, if one was named."""
        await self._first_of(self.drained)
        if not self.drained.done():
            return None
        drain = self.drained.result()
        await self._first_of(None, drain["afterMs"] / 1000)
        return None if self._ended.done() else str(drain["url"])

    @property
    def _ended(self) -> asyncio.Task[None]:
        assert self._reader is not None
        return self._reader

    async def _first_of(
        self, other: asyncio.Future[Event] | None, within_s: float | None = None
    ) -> None:
        """Wait for the end of the connection, or for something else."""
        both: list[asyncio.Future[Any]] = [self._ended] if other is None else [self._ended, other]
        await asyncio.wait(both, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)


class Stayer:
    """A user who stays. ``urls`` tells where the nodes are, or were last."""

    def __init__(
        self,
        user: str,
        urls: Callable[[], Sequence[str]],
        rng: random.Random,
        subprotocols: Sequence[str] = V1,
    ) -> None:
        self.user = user
        self.outages_s: list[float] = []  # from each loss of the socket to the next connection
        self.lost_at: float | None = None  # None while it is connected
        self._urls = urls
        self._rng = rng
        self._subprotocols = subprotocols
        self._staying: asyncio.Task[None] | None = None

    async def start(self, url: str) -> Self:
        """Connect to a node, and stay until `stop`."""
        life = await self._connect(f"{url.replace('http', 'ws', 1)}/websocket/chat/{self.user}")
        self._staying = asyncio.get_running_loop().create_task(self._stay(life))
        return self

    async def stop(self) -> None:
        """Disconnect for good; raises what went wrong before, if anything did."""
        assert self._staying is not None
        self._staying.cancel()
        await asyncio.wait([self._staying])
        if not self._staying.cancelled():
            self._staying.result()

    def gone_for_s(self, now: float) -> float:
        """For how long it has not been connected; 0 if it is."""
        return 0.0 if self.lost_at is None else now - self.lost_at

    def on_event(self, event: Event) -> None:
        """Take an event of the present connection."""

    def _life(self) -> Life:
        """Make a connection that is not open yet."""
        return Life(self.user, self.on_event)

    async def _came(self, address: str) -> None:
        """Do what a page does with a new connection."""

    async def _stay(self, life: Life) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                url = await life.over()
                self.lost_at = loop.time()
                await life.close()
                life = await self._come_back(url)
                self.outages_s.append(loop.time() - self.lost_at)
                self.lost_at = None
        finally:
            await life.close()

    async def _come_back(self, url: str | None) -> Life:
        """Go where a node says; wait longer after each time that none could be reached."""
        failures = 0
        if url is None:
            await self._pause(failures)
        while True:
            try:
                return await self._connect(await self._address(url))
            except (OSError, HTTPClientError):
                url = None
                failures += 1
                await self._pause(failures)

    async def _pause(self, failures: int) -> None:
        await asyncio.sleep(self._rng.random() * FIRST_WAIT_S * 2**failures)

    async def _address(self, url: str | None) -> str:
        """Ask a node where to connect, and if it does not answer the next."""
        urls = self._urls()
        others = self._rng.sample(urls, len(urls))
        for one in [url, *others] if url is not None else others:
            with contextlib.suppress(OSError, HTTPClientError):
                found = await fetch(f"{one}/chatMsg/getWebSocketAddress/{quote(self.user)}")
                found.rethrow()
                return str(json.loads(found.body)["data"])
        raise ConnectionError("no node answers")

    async def _connect(self, address: str) -> Life:
        life = self._life()
        async with contextlib.AsyncExitStack() as unless_it_works:
            unless_it_works.push_async_callback(life.close)
            await life.open(address, *self._subprotocols)
            if self._subprotocols:
                await life.welcome()
            await self._came(address)
            unless_it_works.pop_all()
        return life


class StayingDesk(Stayer):
    """A desk that stays: the list of each node it comes to is read anew.

    ``look`` is called whenever the list it shows has changed.
    """

    def __init__(
        self,
        urls: Callable[[], Sequence[str]],
        rng: random.Random,
        look: Callable[[StayingDesk], None],
    ) -> None:
        super().__init__(DESK, urls, rng)
        self.list = OnlineList()  # as the present node tells it
        self._look = look

    def on_event(self, event: Event) -> None:
        """Apply a change of the list."""
        self.list.on_event(event)
        if self.lost_at is None:
            self._look(self)

    def _life(self) -> Life:
        self.list = OnlineList()
        return super()._life()

    async def _came(self, address: str) -> None:
        """Read the list of the node it came to."""
        await self.list.read(address.replace("ws", "http", 1).split("/websocket", 1)[0])
        self._look(self)
