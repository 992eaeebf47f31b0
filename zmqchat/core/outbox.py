"""What waits to be written to one session: a bounded queue.

Knows encoded events and their sizes. Must not know what is in them or how they are written.
Invariant: it holds at most its limits; an event that does not fit is not taken, and that is said
by a value, since a client that reads too slowly is no error of ours.

What is sent on demand, as the messages that a client has missed, goes in pages of at most a quarter
of the limits, each when less than a quarter waits: half is left for what happens meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

MAX_OUTBOX_BYTES = 1024 * 1024
MAX_OUTBOX_EVENTS = 1000
PAGE_BYTES = MAX_OUTBOX_BYTES // 4
PAGE_EVENTS = MAX_OUTBOX_EVENTS // 4


class Outbox:
    """Encoded events in the order they are to be written."""

    __slots__ = ("_bytes", "_events", "_max_bytes", "_max_events", "on_taken")

    def __init__(
        self, max_bytes: int = MAX_OUTBOX_BYTES, max_events: int = MAX_OUTBOX_EVENTS
    ) -> None:
        self._max_bytes = max_bytes
        self._max_events = max_events
        self._events: list[bytes] = []
        self._bytes = 0
        self.on_taken: Callable[[], None] | None = None  # called once, when there is room again

    def __len__(self) -> int:
        return len(self._events)

    def has_room(self) -> bool:
        """Whether a page may be queued: less than a quarter waits."""
        return self._bytes * 4 < self._max_bytes and len(self._events) * 4 < self._max_events

    def push(self, event: bytes) -> bool:
        """Queue an event; False, and nothing queued, if that would pass a limit."""
        size = self._bytes + len(event)
        if size > self._max_bytes or len(self._events) >= self._max_events:
            return False
        self._bytes = size
        self._events.append(event)
        return True

    def take(self) -> bytes:
        """Return everything as one piece for one write, and be empty."""
        events = self._events
        if not events:
            return b""
        self._events = []
        self._bytes = 0
        if self.on_taken is not None:
            on_taken, self.on_taken = self.on_taken, None
            on_taken()
        return events[0] if len(events) == 1 else b"".join(events)
