"""Whom to ask for what is missing of its log, and when.

Knows nodes, moments and the newest version each origin told. Must not know logs.

- A hole is first left alone for a moment: what fills it may be on its way.
- At most `MOST_IN_FLIGHT` questions are open at once; one without an answer gives up its place
  after `ANSWER_WITHIN_S`.
- An answer that is not enough, since more has changed meanwhile, is followed by a question soon.
- The same origin is asked again after 1 s, then 2 s and so on up to 8 s, but at least every two
  of its beats: when a link is back, nobody waits long for the next question.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from zmqchat.core.deadlines import Deadlines

WAIT_S = (0.05, 0.25)  # before the first question, at random
MOST_IN_FLIGHT = 8
ANSWER_WITHIN_S = 1.0
RETRY_MOST_S = 8.0


class _Gap:
    __slots__ = ("ask_at", "in_flight", "pause_s", "silent_at", "target")

    def __init__(self, target: tuple[int, int], ask_at: float) -> None:
        self.target = target  # version and hash that the origin told
        self.ask_at = ask_at  # not before
        self.in_flight = False
        self.silent_at = 0.0  # when a question in flight is taken for lost
        self.pause_s = ANSWER_WITHIN_S


class Repair:
    """The holes there are; ``uniform`` draws a number between two."""

    def __init__(self, uniform: Callable[[float, float], float]) -> None:
        self._uniform = uniform
        self._gaps: dict[int, _Gap] = {}
        self._deadlines: Deadlines[int] = Deadlines()
        self._waiting: deque[int] = deque()  # for a place among those in flight
        self._in_flight = 0

    @property
    def next(self) -> float:
        """When to call `due`."""
        return self._deadlines.next

    def __len__(self) -> int:
        return len(self._gaps)

    def target(self, node: int) -> tuple[int, int] | None:
        """The newest version and hash the origin told, if something is missing of its log."""
        gap = self._gaps.get(node)
        return gap.target if gap is not None else None

    def open(self, node: int, target: tuple[int, int], now: float) -> None:
        """Note that something is missing up to a version, or up to a later one than before."""
        gap = self._gaps.get(node)
        if gap is None:
            ask_at = now + self._uniform(*WAIT_S)
            self._gaps[node] = _Gap(target, ask_at)
            self._deadlines.add(node, ask_at)
        elif target[0] >= gap.target[0]:
            gap.target = target

    def close(self, node: int, now: float) -> None:
        """Note that nothing is missing any more."""
        gap = self._gaps.pop(node, None)
        self._deadlines.discard(node)
        if gap is not None and gap.in_flight:
            self._free_place(now)

    def heard(self, node: int, now: float) -> None:
        """Note that a part of the answer came: the rest is on its way, however long it takes."""
        gap = self._gaps.get(node)
        if gap is not None and gap.in_flight:
            gap.silent_at = now + ANSWER_WITHIN_S
            gap.ask_at = max(gap.ask_at, gap.silent_at)

    def progressed(self, node: int, now: float) -> None:
        """Note that an answer was applied and is not all: ask for the rest soon."""
        gap = self._gaps.get(node)
        if gap is not None:
            gap.pause_s = ANSWER_WITHIN_S
            gap.ask_at = gap.silent_at = now + self._uniform(*WAIT_S)
            self._deadlines.add(node, gap.ask_at)

    def due(self, now: float, most_s: Callable[[int], float]) -> list[int]:
        """Return whom to ask now; ``most_s`` tells how long an origin may go unasked."""
        ask: list[int] = []
        for node in self._deadlines.due(now):
            gap = self._gaps[node]
            if gap.in_flight and now < gap.silent_at:
                self._deadlines.add(node, gap.silent_at)
                continue
            if gap.in_flight:
                gap.in_flight = False
                if self._free_place(now):  # to somebody who has waited longer
                    gap.ask_at = max(gap.ask_at, now + WAIT_S[0])
            if now < gap.ask_at:
                self._deadlines.add(node, gap.ask_at)
            elif self._in_flight >= MOST_IN_FLIGHT:
                self._waiting.append(node)
            else:
                self._ask(node, gap, now, most_s(node))
                ask.append(node)
        return ask

    def _ask(self, node: int, gap: _Gap, now: float, most_s: float) -> None:
        self._in_flight += 1
        gap.in_flight = True
        gap.silent_at = now + ANSWER_WITHIN_S
        gap.ask_at = now + gap.pause_s
        gap.pause_s = min(2 * gap.pause_s, RETRY_MOST_S, max(ANSWER_WITHIN_S, most_s))
        self._deadlines.add(node, gap.silent_at)

    def _free_place(self, now: float) -> bool:
        """Give a place on to whoever waits longest; False if nobody waits."""
        self._in_flight -= 1
        while self._waiting:
            node = self._waiting.popleft()
            if node in self._gaps:
                self._deadlines.add(node, now)
                return True
        return False
