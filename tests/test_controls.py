"""What keeps messages whole can be seen to do it: with any part off, the judge finds it missing.

Two nodes over a bus that delays and loses, a customer on both and the desk on one; the judge is
that of the fault runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

import zmqchat.recovery
from scripts.faulting.checker import Verdict, Where, check
from scripts.faulting.databases import rows_of
from scripts.faulting.history import Entry, History
from tests.clients import DESK, Event
from tests.two_nodes import Client, Half, two_nodes
from zmqchat.core.sequence import Sequences
from zmqchat.mesh.memory import MemoryNetwork
from zmqchat.store.ports import Draft, Outcome

USER = "u1"
SLOW_S = 0.015  # half the reorder window: what is slower may be read from the database first
PATIENCE_S = 1.0

Break = Callable[[Half, Half], None]


def nothing(_here: Half, _there: Half) -> None:
    """Leave all as it is."""


def without_audits(_here: Half, there: Half) -> None:
    """Let the second node never ask the database what it has missed."""

    async def audit() -> None:
        """Find nothing."""

    there.recovery._audit = audit  # type: ignore[method-assign]


def without_hold_back(_here: Half, there: Half) -> None:
    """Let the second node deliver whatever is higher than what it has delivered."""

    class Eager(Sequences[bytes]):
        """Takes every higher seq for the next one."""

        def offer(self, conversation: str, seq: int, item: bytes, now: float) -> Sequence[bytes]:
            track = self._tracks[conversation]
            track.next = max(track.next, seq)
            return super().offer(conversation, seq, item, now)

    there.delivery.following._sequences = Eager()


def without_order(_here: Half, there: Half) -> None:
    """Let the second node deliver everything as it comes."""

    class Careless(Sequences[bytes]):
        """Has no idea of seqs."""

        def offer(self, conversation: str, seq: int, item: bytes, now: float) -> Sequence[bytes]:
            super().offer(conversation, seq, item, now)
            return (item,)

    there.delivery.following._sequences = Careless()


def without_duplicate_check(here: Half, there: Half) -> None:
    """Let both nodes store every copy as a message of its own."""
    for half in (here, there):
        append = half.store.append

        def anew(
            draft: Draft,
            done: Callable[[Outcome], None],
            append: Callable[[Draft, Callable[[Outcome], None]], bool] = append,
        ) -> bool:
            return append(msgspec.structs.replace(draft, client_id=None), done)

        half.store.append = anew  # type: ignore[method-assign]


class Story:
    """What happens, and who saw it."""

    def __init__(self, here: Half, there: Half, network: MemoryNetwork) -> None:
        self._here, self._there, self._network = here, there, network
        self._clients: list[Client] = []
        self._sent: list[str] = []

    async def happen(self) -> None:
        """Write from both nodes over a slow link, retry on the other node, lose the last one."""
        phone, laptop = await self._here.open(USER), await self._there.open(USER)
        self._clients = [phone, laptop, await self._there.open(DESK)]
        self._network.delay(1, 2, SLOW_S)
        for number in range(5):
            await self._write(self._here, phone, f"slow-{number}")
            await self._write(self._there, laptop, f"quick-{number}")
        await self._write(self._here, phone, "retried-1")
        await self._write(self._there, laptop, "retried-1")
        await asyncio.sleep(2 * SLOW_S)
        self._network.cut(1, 2)
        await self._write(self._here, phone, "last-1")

    async def judged(self, file: Path) -> Verdict:
        """Wait until everybody has everything, or for long enough, and judge."""
        rows = rows_of(file)
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while any(len(client.texts()) < len(rows) for client in self._clients):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.01)
        return check(self._history(), rows)

    async def _write(self, half: Half, client: Client, text: str) -> None:
        if text not in self._sent:
            self._sent.append(text)
        await half.say(client, text, text)

    def _history(self) -> History:
        history = History()
        history.sent = self._sent
        for number, client in enumerate(self._clients):
            sees = None if client.session.agent else USER
            view = history.observer(f"client {number}", sees).view(USER)
            for event in client.events:
                if event["key"] == 3:
                    view.take(_entry(event["data"], event["data"]["msg"]))
                elif event["key"] == 5:
                    history.acks.append(_entry(event["data"], event["data"]["clientId"]))
        return history


def _entry(data: Event, text: str) -> Entry:
    return Entry(USER, data["seq"], data["id"], text)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audit so often that nobody waits long for what only the database knows."""
    monkeypatch.setattr(zmqchat.recovery, "AUDIT_S", 0.1)


def judged(folder: Path, break_: Break) -> Verdict:
    """Let the story happen with something broken, and judge it."""

    async def main() -> Verdict:
        async with two_nodes(folder) as (here, there, network):
            break_(here, there)
            there.audit()
            story = Story(here, there, network)
            await story.happen()
            return await story.judged(folder / "chat.db")

    return asyncio.run(main())


def test_with_everything_on_all_is_well(tmp_path: Path) -> None:
    """The story is one that the nodes can cope with."""
    assert judged(tmp_path, nothing).clean


def test_without_audits_the_end_is_lost(tmp_path: Path) -> None:
    """Nothing follows the last message, so nobody misses it."""
    verdict = judged(tmp_path, without_audits)
    assert {(lost.entry.text, lost.where) for lost in verdict.lost} == {("last-1", Where.END)}


def test_without_hold_back_the_middle_is_lost(tmp_path: Path) -> None:
    """What came over the slow link is passed over, and dropped when it comes."""
    verdict = judged(tmp_path, without_hold_back)
    assert {lost.where for lost in verdict.lost} & {Where.MIDDLE, Where.PREFIX}
    assert {lost.entry.text.split("-")[0] for lost in verdict.lost} <= {"slow", "last", "retried"}


def test_without_order_messages_come_late_and_twice(tmp_path: Path) -> None:
    """Late over the slow link; twice, as the retry is published again."""
    verdict = judged(tmp_path, without_order)
    assert verdict.out_of_order
    assert verdict.doubled


def test_without_the_duplicate_check_a_retry_is_a_second_message(tmp_path: Path) -> None:
    """In the database, and for everybody."""
    verdict = judged(tmp_path, without_duplicate_check)
    assert {finding.entry.text for finding in verdict.doubled} == {"retried-1"}
