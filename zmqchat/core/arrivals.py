"""Which chat frames of other nodes have come, by the numbers their origins give them.

Each node numbers its chat frames 1, 2, 3 … (oseq) and tells in its beats how many there are. A
number that is passed over, or told and not there, means that a frame was lost: which conversation
it was for, only the store can tell. Knows oseqs and the time it is told; must not know what a
frame carries.

- With two forwarders a frame comes twice, and the copies of different frames interleave: what is
  missing counts only when it is missing for longer than a window.
- An origin that is heard for the first time, or in a new life, may have said something before
  anybody listened.
"""

from __future__ import annotations

import math

WINDOW_S = 0.1  # control and chat travel apart: a beat may be ahead of what it tells of


class _Origin:
    __slots__ = ("above", "due", "highest", "incarnation", "next")

    def __init__(self, incarnation: int, oseq: int) -> None:
        self.incarnation = incarnation
        self.next = oseq + 1  # everything below has come, or is given up
        self.highest = oseq  # the highest number come or told of
        self.above: set[int] = set()  # what has come beyond the first that is missing
        self.due = math.inf  # when what is missing is missing for too long


class Arrivals:
    """The chat frames of every other node, so far as they were heard or told of."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self.next_due = math.inf  # when to ask `missed` again
        self._window_s = window_s
        self._newcomers_due = math.inf
        self._origins: dict[int, _Origin] = {}

    def on_frame(self, node: int, incarnation: int, oseq: int, now: float) -> None:
        """Note a frame that came."""
        origin = self._origins.get(node)
        if origin is None or origin.incarnation != incarnation:
            self._begin(node, incarnation, oseq, now)
        elif oseq == origin.next:
            origin.next += 1
            if origin.due != math.inf:
                self._close_hole(origin)
        elif oseq > origin.next:
            origin.above.add(oseq)
            self._open_hole(origin, oseq, now)

    def on_told(self, node: int, incarnation: int, oseq: int, now: float) -> None:
        """Note that an origin told the number of its newest frame."""
        origin = self._origins.get(node)
        if origin is None or origin.incarnation != incarnation:
            self._begin(node, incarnation, oseq, now)
        elif oseq >= origin.next and oseq > origin.highest:
            self._open_hole(origin, oseq, now)

    def forget(self, node: int) -> None:
        """Drop what is known of a node that is gone."""
        self._origins.pop(node, None)

    def missed(self, now: float) -> bool:
        """Whether frames are, or may be, missing for too long; they are given up with this."""
        if now < self.next_due:
            return False
        found = now >= self._newcomers_due
        if found:
            self._newcomers_due = math.inf
        self.next_due = self._newcomers_due
        for origin in self._origins.values():
            if origin.due <= now:
                found = True
                origin.next = origin.highest + 1
                origin.above.clear()
                origin.due = math.inf
            self.next_due = min(self.next_due, origin.due)
        return found

    def _begin(self, node: int, incarnation: int, oseq: int, now: float) -> None:
        known = self._origins.get(node)
        if known is not None and known.incarnation > incarnation:
            return  # a life that is over
        self._origins[node] = _Origin(incarnation, oseq)
        self._newcomers_due = min(self._newcomers_due, now + self._window_s)
        self.next_due = min(self.next_due, self._newcomers_due)

    def _open_hole(self, origin: _Origin, oseq: int, now: float) -> None:
        origin.highest = max(origin.highest, oseq)
        if origin.due == math.inf:
            origin.due = now + self._window_s
            self.next_due = min(self.next_due, origin.due)

    def _close_hole(self, origin: _Origin) -> None:
        """Go on over what came ahead; the hole is closed if that is everything."""
        while origin.next in origin.above:
            origin.above.discard(origin.next)
            origin.next += 1
        if origin.next > origin.highest:
            origin.due = math.inf
