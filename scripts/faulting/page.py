"""A page that stays connected whatever happens to nodes, and keeps what it was shown.

It connects to any node that runs, gathers events while it asks what it has missed, shows them,
sends again what was not acknowledged under the same client ids, and goes on; when the connection
ends or falls silent, it begins anew elsewhere. Whom it is for, and so what it may have missed,
`people` tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping

from scripts.faulting.history import Entry, History, View
from scripts.faulting.line import FAILURES, Line
from tests.clients import DESK, Event

V1 = "zmqchat.v1"
WELCOME, MESSAGE, ACK, ERROR, RESUME = 0, 3, 5, 6, 9
KICKED = 4501
ANSWER_S = 10.0  # a node that takes longer to tell what was missed is left
PAUSE_S = (0.05, 0.5)  # before a page connects again, or asks again: at random between these


class LeftBehind(Exception):  # noqa: N818 - what happened to the page
    """A node does not tell what a page has missed; another one may."""


class Page:
    """What customers' pages and the desk's have in common; ``urls`` are those of live nodes."""

    def __init__(
        self,
        user: str,
        history: History,
        urls: Callable[[], Mapping[str, str]],
        rng: random.Random,
        *,
        sees: str | None,
    ) -> None:
        self.user = user
        self.observer = history.observer(user, sees)
        self.unsent: dict[str, Event] = {}  # by client id, until acknowledged
        self.node = ""  # connected to this one last
        self.settled = False  # connected, and nothing of before is missing
        self._history = history
        self.urls = urls
        self._rng = rng
        self._line: Line | None = None
        self._welcome: asyncio.Future[Event] | None = None
        self._asked: asyncio.Future[Event] | None = None
        self._continue: str | None = None
        self._told_to: dict[str, str] = {}  # in which conversation each message was written

    async def stay_connected(self) -> None:
        """Be connected to some node or other, until cancelled."""
        while True:
            if urls := self.urls():
                self.node = self._rng.choice(sorted(urls))
                line = Line(self._on_event)
                with contextlib.suppress(*FAILURES):
                    await self._connect(line, urls[self.node])
            await asyncio.sleep(self._rng.uniform(*PAUSE_S))

    async def drop(self) -> None:
        """Lose the connection, as when a laptop sleeps."""
        if self._line is not None:
            await self._line.drop()

    def say(self, text: str, receiver: str = DESK, more: str = "") -> None:
        """Send a message, now or when connected again; ``more`` makes it longer."""
        self._history.send(text, self._now())
        data = {
            "msg": f"{text} {more}".strip(),
            "sender": self.user,
            "receiver": receiver,
            "clientId": text,
        }
        self.unsent[text] = {"key": MESSAGE, "data": data}
        self._told_to[text] = self.user if receiver == DESK else receiver
        if self.settled and self._line is not None:
            self._line.send(self.unsent[text])

    async def catch_up(self, line: Line) -> None:
        """Ask for what was missed, and show it; raise `LeftBehind`."""
        raise NotImplementedError

    def on_shown(self, entry: Entry) -> None:
        """Do what follows from a message that is shown now."""

    # Connections.

    async def _connect(self, line: Line, url: str) -> None:
        """Be connected to a node until that ends."""
        self._welcome = asyncio.get_running_loop().create_future()
        for view in self.observer.views.values():
            view.unsettle()
        proof = [f"c.{self._continue}"] if self._continue else []
        try:
            await line.open(url, self.user, V1, *proof)
            self._line = line
            await self._use(line)
        finally:
            self.settled = False
            self._line = None
            await line.drop()
        self._on_end(line.close_code)

    async def _use(self, line: Line) -> None:
        settling = asyncio.get_running_loop().create_task(self._settle(line))
        watching = asyncio.get_running_loop().create_task(line.watch())
        try:
            await asyncio.wait({settling, watching}, return_when=asyncio.FIRST_COMPLETED)
            if settling.done() and await settling:
                await watching
        finally:
            for task in (settling, watching):
                task.cancel()
            await asyncio.gather(settling, watching, return_exceptions=True)

    async def _settle(self, line: Line) -> bool:
        """Catch up, then send what waits; False if this node is of no use."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.catch_up(line)
        except (LeftBehind, TimeoutError):
            return False
        self.settled = True
        for event in self.unsent.values():
            self._history.retried += 1
            line.send(event)
        return True

    def _on_end(self, code: int) -> None:
        self._history.ends[str(code)] += 1
        if code == KICKED:
            self._continue = None
            self._history.refused.append((self.user, f"closed with {code}"))

    # Events.

    def _on_event(self, event: Event) -> None:
        key, data = event["key"], event.get("data", {})
        if key == MESSAGE:
            self.take(entry_of(data))
        elif key == ACK:
            self._on_ack(data)
        elif key == ERROR:
            self._on_error(data)
        elif key == RESUME and self._asked is not None and not self._asked.done():
            self._asked.set_result(data)
        elif key == WELCOME and self._welcome is not None:
            self._continue = data["continue"]
            self._welcome.set_result(data)

    def take(self, entry: Entry) -> None:
        """Take a message from the server."""
        if self.view(entry.conversation).take(entry):
            self.show(entry)

    def view(self, conversation: str) -> View:
        """The view of a conversation; a new one gathers while the page catches up."""
        is_new = conversation not in self.observer.views
        view = self.observer.view(conversation)
        if is_new and not self.settled:
            view.unsettle()
        return view

    def settle(self, conversation: str) -> None:
        """Show what was gathered of a conversation."""
        for entry in self.observer.view(conversation).settle():
            self.show(entry)

    def show(self, entry: Entry) -> None:
        """Note when a message is shown, and do what follows."""
        self.observer.shown_at.setdefault(entry.text, self._now())
        self.on_shown(entry)

    def _on_ack(self, data: Event) -> None:
        text = data["clientId"]
        self.unsent.pop(text, None)  # one that was sent again is acknowledged again
        ack = Entry(self._told_to[text], data["seq"], data["id"], text)
        self._history.acknowledge(ack, self._now(), duplicate=data["duplicate"])

    def _on_error(self, data: Event) -> None:
        text, line = data.get("clientId"), self._line
        if text is None:
            if self._asked is not None and not self._asked.done():
                self._asked.set_result(data)
        elif not data["retryable"]:
            self.unsent.pop(text, None)
            self._history.refused.append((text, data["code"]))
        elif line is not None:
            pause_s = self._rng.uniform(*PAUSE_S)
            asyncio.get_running_loop().call_later(pause_s, self._send_again, text, line)

    def _send_again(self, text: str, line: Line) -> None:
        if text in self.unsent and line is self._line:
            self._history.retried += 1
            line.send(self.unsent[text])

    # Questions.

    async def welcomed(self) -> Event:
        """Wait for what the node says of itself."""
        assert self._welcome is not None
        return await self._welcome

    async def ask(self, line: Line, data: Event) -> Event:
        """Ask RESUME until it is answered; raise `LeftBehind` if it is refused for good."""
        while True:
            self._asked = asyncio.get_running_loop().create_future()
            line.send({"key": RESUME, "data": data})
            answer = await self._asked
            if "code" not in answer:
                return answer
            if not answer["retryable"]:
                self._history.refused.append((f"RESUME of {self.user}", answer["code"]))
                raise LeftBehind(answer["code"])
            await asyncio.sleep(self._rng.uniform(*PAUSE_S))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def entry_of(message: Event) -> Entry:
    """Read a message as the server tells it."""
    return Entry.of(message["conversation"], message["seq"], message["id"], message["msg"])
