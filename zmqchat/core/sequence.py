"""What comes next in a conversation: deliver, hold, drop, or read what is missing.

Knows seqs and the time it is told. Must not know what an item is, where it came from, or how
the store is read.

- A conversation is *tracked* from `expect` (the start is being looked up, items are held) or
  `start` (everything above a seq is wanted) until `forget`.
- Invariant: of a tracked conversation every seq above its start is given out at most once and
  in order. A seq is passed over only if the store, asked for it, did not have it.
- Several nodes publish into one conversation over different links, so reordering is normal: a
  hole is read from the store only when it is older than the reorder window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

REORDER_WINDOW_S = 0.030
HOLD_LIMIT = 256  # items held for one conversation; what comes above is read from the store
READ_LIMIT = 100  # seqs in one gap


class Gap(NamedTuple):
    """Seqs that are missing: ``first`` to ``last``, at most `READ_LIMIT`."""

    conversation: str
    first: int
    last: int


class _Track(Generic[T]):
    __slots__ = ("held", "highest", "next", "reading")

    def __init__(self) -> None:
        self.next = 0  # the seq to be delivered next; 0: the start is not known yet
        self.held: dict[int, T] = {}
        self.highest = 0  # the highest seq heard of; it may be too high to be held
        self.reading: Gap | None = None


class Sequences(Generic[T]):
    """The order of every conversation this node follows."""

    def __init__(self, window_s: float = REORDER_WINDOW_S, hold_limit: int = HOLD_LIMIT) -> None:
        self._window_s = window_s
        self._hold_limit = hold_limit
        self._tracks: dict[str, _Track[T]] = {}
        self._due: dict[str, float] = {}  # when a conversation's hole is to be read

    def __contains__(self, conversation: str) -> bool:
        return conversation in self._tracks

    def __len__(self) -> int:
        return len(self._tracks)

    def has_started(self, conversation: str) -> bool:
        """Whether a conversation is tracked and its start is known."""
        return conversation in self._tracks and self._tracks[conversation].next > 0

    def conversations(self) -> list[str]:
        """Return the conversations that are tracked."""
        return list(self._tracks)

    def expect(self, conversation: str) -> None:
        """Track a conversation whose start is still being looked up."""
        self._tracks.setdefault(conversation, _Track())

    def start(self, conversation: str, after: int, now: float) -> Sequence[T]:
        """Want everything above ``after``; return what was held and is due already.

        A conversation that has started keeps its place.
        """
        track = self._tracks.setdefault(conversation, _Track())
        if track.next:
            return ()
        track.next = after + 1
        for seq in [seq for seq in track.held if seq <= after]:
            del track.held[seq]
        return self._release(conversation, track, now)

    def forget(self, conversation: str) -> None:
        """Stop tracking a conversation and drop what is held of it."""
        self._tracks.pop(conversation, None)
        self._due.pop(conversation, None)

    def offer(self, conversation: str, seq: int, item: T, now: float) -> Sequence[T]:
        """Take an item of a tracked conversation; return what is to be delivered, in order."""
        track = self._tracks[conversation]
        if seq == track.next:
            track.next += 1
            if not track.held and not track.highest > seq:
                return (item,)
            track.held.pop(seq, None)
            return (item, *self._release(conversation, track, now))
        if seq < track.next:
            return ()
        track.highest = max(track.highest, seq)
        if len(track.held) < self._hold_limit:
            track.held.setdefault(seq, item)
        if track.next:
            self._due.setdefault(conversation, now + self._window_s)
        return ()

    def hear_of(self, conversation: str, seq: int, now: float) -> None:
        """Note that a tracked conversation has a seq, though its item is not at hand."""
        track = self._tracks[conversation]
        track.highest = max(track.highest, seq)
        if track.next and track.highest >= track.next:
            self._due.setdefault(conversation, now + self._window_s)

    def next_due(self) -> float | None:
        """When `gaps` will have something to tell, or None."""
        return min(
            (due for name, due in self._due.items() if not self._tracks[name].reading),
            default=None,
        )

    def gaps(self, now: float) -> list[Gap]:
        """Return the holes whose reorder window is over; each once until `fill` or `retry`."""
        found = []
        for conversation, due in self._due.items():
            track = self._tracks[conversation]
            if due <= now and not track.reading:
                last = min(self._end_of_hole(track), track.next + READ_LIMIT - 1)
                track.reading = Gap(conversation, track.next, last)
                found.append(track.reading)
        return found

    def fill(
        self,
        gap: Gap,
        found: Iterable[tuple[int, T]],
        now: float,
        *,
        head: int | None = None,
        last: int | None = None,
    ) -> Sequence[T]:
        """Take the store's answer for a gap; return what is to be delivered.

        The answer is final up to ``head``, the conversation's head as the store knows it; without
        one it is final for the whole gap. Above the head there is nothing to wait for: whoever
        told of such a seq was wrong. With ``last`` it is an answer only up to that seq, and the
        rest of the gap will be due again.
        """
        track = self._tracks.get(gap.conversation)
        if track is None or track.reading != gap:
            return ()
        track.reading = None
        self._due.pop(gap.conversation, None)
        if head is not None:
            track.highest = min(track.highest, head)
            for seq in [seq for seq in track.held if seq > head]:
                del track.held[seq]
        last = min(seq for seq in (gap.last, head, last) if seq is not None)
        ready = [item for seq, item in sorted(found, key=_seq_of) if seq >= track.next]
        track.next = max(track.next, last + 1)
        for seq in [seq for seq in track.held if seq < track.next]:
            del track.held[seq]
        ready.extend(self._release(gap.conversation, track, now))
        return ready

    def retry(self, gap: Gap, at: float) -> None:
        """Tell that the store did not answer: the gap is due again at a time."""
        track = self._tracks.get(gap.conversation)
        if track is None or track.reading != gap:
            return
        track.reading = None
        if track.highest >= track.next:
            self._due[gap.conversation] = at
        else:  # what was missing came by itself
            del self._due[gap.conversation]

    def _end_of_hole(self, track: _Track[T]) -> int:
        return min(track.held, default=track.highest + 1) - 1

    def _release(self, conversation: str, track: _Track[T], now: float) -> list[T]:
        """Pop what is held without a hole, and set or clear the time of the next read."""
        ready = []
        while track.next in track.held:
            ready.append(track.held.pop(track.next))
            track.next += 1
        if track.reading:
            return ready  # the answer of the running read settles the rest
        if track.highest >= track.next:
            # A new hole gets a window of its own: what is missing may be on its way.
            self._due[conversation] = now + self._window_s
        else:
            self._due.pop(conversation, None)
        return ready


def _seq_of(pair: tuple[int, T]) -> int:
    return pair[0]
