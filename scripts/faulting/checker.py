"""Judges a run: whether what the database has, what was acknowledged and what was shown agree.

A pure function of a `History` and the rows of the database, taken after the run has come to rest.
Lost is what was stored or acknowledged and is not shown by somebody it is for. Where in the
conversation it is missing tells who forgot it: at the beginning, whoever finds out where a page
starts; in the middle, whoever fills holes; at the end, whoever looks for what nothing follows.
"""

from __future__ import annotations

import collections
import enum
import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scripts.faulting.history import Entry, History, Observer, View, by_conversation

DATABASE = "the database"


class Where(enum.StrEnum):
    """Where in what an observer was shown of a conversation something is missing."""

    PREFIX = "prefix"
    MIDDLE = "middle"
    END = "end"


class Lost(NamedTuple):
    """A message that an observer should have been shown."""

    observer: str
    entry: Entry
    where: Where


class Finding(NamedTuple):
    """An entry that an observer has, and should not have like this."""

    observer: str
    entry: Entry


class Verdict(NamedTuple):
    """All that is wrong with a run; each list is empty if nothing is."""

    lost: list[Lost]
    doubled: list[Finding]
    out_of_order: list[Finding]
    unexpected: list[Finding]  # shown or acknowledged, and not so in the database
    holes: list[str]  # conversations whose seqs in the database are not 1, 2, 3 …
    unanswered: list[str]  # texts that were sent and not acknowledged
    refused: list[tuple[str, str]]

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self)

    def lost_by_place(self) -> dict[Where, int]:
        """How many messages were lost where; one is counted for each observer that misses it."""
        counts = collections.Counter(lost.where for lost in self.lost)
        return {where: counts[where] for where in Where}


def check(history: History, rows: Sequence[Entry]) -> Verdict:
    """Compare what happened with the rows of the database."""
    stored = frozenset(rows)
    wanted = by_conversation(sorted({*rows, *history.acks}))
    acknowledged = {ack.text for ack in history.acks}
    sent = frozenset(history.sent)
    return Verdict(
        lost=[
            *_not_stored(history.acks, rows),
            *(lost for observer in history.observers for lost in _missing(observer, wanted)),
        ],
        doubled=[
            *(Finding(DATABASE, row) for row in _repeated(rows)),
            *(finding for observer in history.observers for finding in _doubled(observer)),
        ],
        out_of_order=[
            finding for observer in history.observers for finding in _out_of_order(observer)
        ],
        unexpected=[
            *(Finding(DATABASE, row) for row in rows if row.text not in sent),
            *(Finding("an acknowledgement", ack) for ack in history.acks if ack not in stored),
            *(finding for observer in history.observers for finding in _unknown(observer, stored)),
        ],
        holes=_holes(rows),
        unanswered=[text for text in history.sent if text not in acknowledged],
        refused=list(history.refused),
    )


def _not_stored(acks: Iterable[Entry], rows: Iterable[Entry]) -> Iterable[Lost]:
    """Yield what was acknowledged and is not in the database at all."""
    texts = {row.text for row in rows}
    heads = {name: found[-1].seq for name, found in by_conversation(sorted(rows)).items()}
    for ack in acks:
        if ack.text not in texts:
            at_end = ack.seq > heads.get(ack.conversation, 0)
            yield Lost(DATABASE, ack, Where.END if at_end else Where.MIDDLE)


def _missing(observer: Observer, wanted: dict[str, list[Entry]]) -> Iterable[Lost]:
    for conversation, entries in wanted.items():
        if not observer.follows(conversation):
            continue
        shown = [entry.seq for entry in observer.view(conversation).shown]
        have = frozenset(shown)
        for entry in entries:
            if entry.seq not in have:
                yield Lost(observer.name, entry, _place(entry.seq, shown))


def _place(seq: int, shown: Sequence[int]) -> Where:
    """Tell where a missing seq belongs; a conversation of which nothing is shown lost its end."""
    if not shown or seq > max(shown):
        return Where.END
    return Where.PREFIX if seq < min(shown) else Where.MIDDLE


def _doubled(observer: Observer) -> Iterable[Finding]:
    for view in observer.views.values():
        for entry in (*view.doubled, *_repeated(view.shown)):
            yield Finding(observer.name, entry)


def _repeated(entries: Iterable[Entry]) -> Iterable[Entry]:
    """Yield every entry whose text has come before."""
    seen: set[str] = set()
    for entry in entries:
        if entry.text in seen:
            yield entry
        seen.add(entry.text)


def _out_of_order(observer: Observer) -> Iterable[Finding]:
    for view in observer.views.values():
        for entry in (*view.late, *_descents(view)):
            yield Finding(observer.name, entry)


def _descents(view: View) -> Iterable[Entry]:
    return (after for before, after in itertools.pairwise(view.shown) if after.seq < before.seq)


def _unknown(observer: Observer, stored: frozenset[Entry]) -> Iterable[Finding]:
    for view in observer.views.values():
        for entry in view.shown:
            if entry not in stored or not observer.follows(entry.conversation):
                yield Finding(observer.name, entry)


def _holes(rows: Iterable[Entry]) -> list[str]:
    return [
        conversation
        for conversation, found in by_conversation(sorted(rows)).items()
        if [row.seq for row in found] != list(range(1, len(found) + 1))
    ]
