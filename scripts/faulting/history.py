"""What happened in a run: who sent what, what was acknowledged, and what everybody was shown.

Knows no sockets, and time only as it is told, in seconds. Every message begins with a word of its
own, ``writer-counter``, which is also its client id: whatever way a message is met, that tells
which one it is.

A `View` is one conversation as a page shows it. While the page catches up after it connected,
events are gathered in any order and as often as they come. What the page was told then may come
once more: the database had it before the frame was there. Above that the server has to send each
seq once and in order, and what it does otherwise is kept for the checker.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import NamedTuple, Self


class Entry(NamedTuple):
    """A message in its place, as the database, an acknowledgement or an observer has it."""

    conversation: str
    seq: int
    id: str
    text: str  # its first word

    @classmethod
    def of(cls, conversation: str, seq: int, id_: str, text: str) -> Self:
        """Make an entry of a message with its whole text."""
        return cls(conversation, seq, id_, text.partition(" ")[0])


class View:
    """One conversation on one page; ``last`` is the highest seq shown."""

    def __init__(self) -> None:
        self.last = 0
        self.shown: list[Entry] = []
        self.doubled: list[Entry] = []  # sent twice within one connection
        self.late: list[Entry] = []  # came after a higher one, and so is not shown
        self._seen: set[int] = set()
        self._settled_at = 0  # up to here a seq may come again
        self._gathered: dict[int, Entry] | None = None

    def unsettle(self) -> None:
        """Begin to gather: the page has connected, and may have missed something."""
        self._gathered = {}

    def take(self, entry: Entry) -> bool:
        """Take a message from the server; return whether the page shows it now."""
        if self._gathered is not None:
            self._gathered.setdefault(entry.seq, entry)
            return False
        if entry.seq <= self._settled_at:
            return False
        if entry.seq <= self.last:
            (self.doubled if entry.seq in self._seen else self.late).append(entry)
            return False
        self._show(entry)
        return True

    def settle(self) -> list[Entry]:
        """Show what was gathered beyond what is shown, and return it."""
        gathered, self._gathered = self._gathered or {}, None
        fresh = [entry for seq, entry in sorted(gathered.items()) if seq > self.last]
        for entry in fresh:
            self._show(entry)
        self._settled_at = self.last
        return fresh

    def _show(self, entry: Entry) -> None:
        self.last = entry.seq
        self._seen.add(entry.seq)
        self.shown.append(entry)


class Observer:
    """Somebody who is to be shown every message of some conversations.

    ``sees`` names the one conversation it follows, None if it is all of them.
    """

    def __init__(self, name: str, sees: str | None) -> None:
        self.name = name
        self.sees = sees
        self.views: dict[str, View] = {}
        self.shown_at: dict[str, float] = {}  # by text

    def view(self, conversation: str) -> View:
        """The view of a conversation, which may be new."""
        return self.views.setdefault(conversation, View())

    def follows(self, conversation: str) -> bool:
        """Whether the messages of a conversation are for this observer."""
        return self.sees is None or self.sees == conversation


class History:
    """All that was sent and acknowledged in a run, and its observers.

    What no page of a run should be told, as that it may not write, stands in ``refused``: who or
    what it was about, and the error's code.
    """

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.retried = 0
        self.acks: list[Entry] = []
        self.duplicates = 0  # acknowledgements of what had been stored before
        self.refused: list[tuple[str, str]] = []
        self.observers: list[Observer] = []
        self.ends: collections.Counter[str] = collections.Counter()  # of connections, by code
        self.sent_at: dict[str, float] = {}  # by text
        self.acked_at: dict[str, float] = {}

    def observer(self, name: str, sees: str | None = None) -> Observer:
        """Add an observer."""
        observer = Observer(name, sees)
        self.observers.append(observer)
        return observer

    def send(self, text: str, now: float) -> None:
        """Note that a message is sent for the first time."""
        self.sent.append(text)
        self.sent_at[text] = now

    def acknowledge(self, ack: Entry, now: float, *, duplicate: bool) -> None:
        """Note an acknowledgement."""
        self.acks.append(ack)
        self.acked_at.setdefault(ack.text, now)
        self.duplicates += duplicate

    def delays(self) -> dict[str, float]:
        """How long after its acknowledgement each message was shown to the last observer.

        By text, in seconds; 0 if everybody had it before.
        """
        found: dict[str, float] = {}
        for observer in self.observers:
            for text, shown_at in observer.shown_at.items():
                delay = shown_at - self.acked_at.get(text, shown_at)
                found[text] = max(found.get(text, 0.0), delay)
        return found


def by_conversation(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Sort entries into conversations; each keeps its order."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.conversation, []).append(entry)
    return found
