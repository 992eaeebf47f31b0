"""Who the pages of a run are for: customers, who write, and the desk, which answers.

A customer asks for what is missing of one conversation. The desk first asks which conversations
have moved since it was last told, then for each of them.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest

from scripts.faulting.history import Entry, History
from scripts.faulting.line import Line
from scripts.faulting.page import ANSWER_S, LeftBehind, Page, entry_of
from tests.clients import DESK

PAGE_SIZE = 500  # rows asked of REST at a time
PACES_S = ((0.5, 1.5), (4.0, 16.0))  # between two messages: of the busy, and of those who pause
ANSWERED = 3  # the desk answers every third message


class _Person(Page):
    """What customers and the desk do alike when they have missed something."""

    async def resume(self, line: Line, conversation: str) -> None:
        """Get all that is missing of a conversation, and show it."""
        view = self.view(conversation)
        answer = await self.ask(line, {"conversation": conversation, "after": view.last})
        more = not answer["complete"]
        after = view.last
        while more:
            path = f"/chatMsg/getHistoryChat/{quote(conversation, safe='')}"
            page = await self.rest(f"{path}?after={after}&limit={PAGE_SIZE}")
            for message in page["data"]:
                view.take(entry_of(message))
                after = message["seq"]
            more = page["hasMore"]
        self.settle(conversation)

    async def rest(self, path: str) -> Any:
        """Ask this page's node over REST; raise `LeftBehind`."""
        request = HTTPRequest(f"{self.urls().get(self.node)}{path}", request_timeout=ANSWER_S)
        try:
            response = await AsyncHTTPClient().fetch(request)
        except (OSError, HTTPError, ValueError) as error:
            raise LeftBehind(str(error)) from error
        return json.loads(response.body)


class Customer(_Person):
    """A customer, who writes now and then until told to be quiet."""

    def __init__(
        self,
        user: str,
        history: History,
        urls: Callable[[], Mapping[str, str]],
        rng: random.Random,
    ) -> None:
        super().__init__(user, history, urls, rng, sees=user)
        self._count = 0
        self._pace_s = rng.choice(PACES_S)

    async def catch_up(self, line: Line) -> None:
        """Ask for the one conversation there is."""
        await self.resume(line, self.user)

    async def write(self) -> None:
        """Write at this customer's own pace, until cancelled.

        What is lost where nothing follows for long is not found by what follows.
        """
        while True:
            await asyncio.sleep(self._rng.uniform(*self._pace_s))
            self.say_next()

    def say_next(self, more: str = "") -> None:
        """Write the next message."""
        self._count += 1
        self.say(f"{self.user}-{self._count}", more=more)


class Desk(_Person):
    """The desk, which is shown everything and answers some of it while ``answering``."""

    def __init__(
        self,
        history: History,
        urls: Callable[[], Mapping[str, str]],
        rng: random.Random,
    ) -> None:
        super().__init__(DESK, history, urls, rng, sees=None)
        self.answering = True
        self._since_ms: int | None = None

    async def catch_up(self, line: Line) -> None:
        """Learn which conversations have moved, and ask for each that has."""
        heads, time_ms = await self._moved(line)
        for conversation, seq in heads.items():
            if seq > self.view(conversation).last:
                await self.resume(line, conversation)
        for conversation in self.observer.views:
            self.settle(conversation)
        self._since_ms = time_ms  # not before all of it is here

    async def _moved(self, line: Line) -> tuple[dict[str, int], int]:
        """Return heads, and the database's time they are of.

        They are those of all conversations at first, later of those that may have moved.
        """
        if self._since_ms is None:
            welcome = await self.welcomed()
            return await self._all_heads(), welcome["time"]
        answer = await self.ask(line, {"since": self._since_ms})
        heads = {head["conversation"]: head["seq"] for head in answer["heads"]}
        return heads, answer["time"]

    async def _all_heads(self) -> dict[str, int]:
        heads: dict[str, int] = {}
        cursor = ""
        while True:
            page = await self.rest(f"/api/conversations?limit={PAGE_SIZE}&before={quote(cursor)}")
            heads |= {row["conversation"]: row["lastSeq"] for row in page["data"]}
            if not page["hasMore"]:
                return heads
            cursor = page["data"][-1]["cursor"]

    def on_shown(self, entry: Entry) -> None:
        """Answer every third message of a customer."""
        own = entry.text.startswith(DESK)
        if self.answering and not own and self._rng.randrange(ANSWERED) == 0:
            self.say(f"{DESK}-{entry.text}", entry.conversation)
