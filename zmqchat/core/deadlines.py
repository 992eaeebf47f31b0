"""When to look at what again: the earliest moment of each of many keys.

Knows keys and moments. Must not know what is due. A moment that moves later costs nothing here:
whoever is told that a key is due looks for itself, and adds it again if it was too early.
Invariant: a key is told no later than the earliest moment it was added with since it was last
told, and once.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    """A heap with one valid entry a key; keys of the same moment come in their own order."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, K]] = []
        self._at: dict[K, float] = {}

    @property
    def next(self) -> float:
        """The earliest moment anything may be due; infinity if nothing ever is."""
        return self._heap[0][0] if self._heap else math.inf

    def add(self, key: K, at: float) -> None:
        """Tell of a key at a moment, or earlier if it was added with an earlier one."""
        if at < self._at.get(key, math.inf):
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))

    def discard(self, key: K) -> None:
        """Tell nothing of a key."""
        self._at.pop(key, None)

    def due(self, now: float) -> Iterator[K]:
        """Yield the keys that are due, the earliest first; they may be added again meanwhile."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, key = heapq.heappop(heap)
            if self._at.get(key) == at:
                del self._at[key]
                yield key
