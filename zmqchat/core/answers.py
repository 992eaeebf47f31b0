"""What peers asked of our log, answered at a bounded pace.

Knows questions and a rate. Must not know what is missing: the journal makes the answers.
A peer has one question here at a time; while it waits, asking again changes nothing. An answer
is made when its turn comes, so it is as new as can be.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

from zmqchat.wire.mesh import Delta, Snapshot, SyncRequest

RATE_BYTES_S = 1024 * 1024
BURST_BYTES = 256 * 1024
FRAME_BYTES = 64  # of a frame without sessions, about
ENTRY_BYTES = 12  # of a session without its user's name, about

Answer = Delta | Snapshot


class Answers:
    """Questions in the order they came; ``answer`` makes the frames of one."""

    def __init__(self, answer: Callable[[SyncRequest], Sequence[Answer]]) -> None:
        self._answer = answer
        self._questions: dict[int, SyncRequest] = {}
        self._frames: deque[tuple[int, Answer]] = deque()  # of the question answered now
        self._bytes = float(BURST_BYTES)  # that may be sent now
        self._filled_at = -math.inf
        self.next = math.inf  # when to call `due`

    def ask(self, node: int, request: SyncRequest, now: float) -> None:
        """Take a peer's question."""
        if self._frames and self._frames[0][0] == node:
            return
        self._questions.setdefault(node, request)
        self.next = min(self.next, now)

    def due(self, now: float) -> list[tuple[int, Answer]]:
        """Return the frames that may be sent now, each with the node it is for."""
        if now < self.next:
            return []
        filled = self._bytes + (now - self._filled_at) * RATE_BYTES_S
        self._bytes, self._filled_at = min(filled, BURST_BYTES), now
        ready: list[tuple[int, Answer]] = []
        while self._bytes > 0 and self._has_frame():
            node, frame = self._frames.popleft()
            self._bytes -= _size(frame)
            ready.append((node, frame))
        waits = self._frames or self._questions
        self.next = now + max(0.0, -self._bytes / RATE_BYTES_S) + 0.001 if waits else math.inf
        return ready

    def _has_frame(self) -> bool:
        while not self._frames and self._questions:
            node = next(iter(self._questions))
            frames = self._answer(self._questions.pop(node))
            self._frames.extend((node, frame) for frame in frames)
        return bool(self._frames)


def _size(frame: Answer) -> int:
    entries = frame.opened if isinstance(frame, Delta) else frame.sessions
    # Four bytes a character at most; one is what most have.
    return FRAME_BYTES + sum(ENTRY_BYTES + len(entry.user) for entry in entries)
