"""Who is alive: the lives of other nodes, told from their beats.

Knows node numbers, incarnations and the monotonic time it is told. Must not know what a node
carries (its presence log) or how frames travel.
Invariant: at most one life of a node is known, the one with the highest incarnation heard. A
life that was left or replaced never comes back.
"""

from __future__ import annotations

import enum

from zmqchat.wire.mesh import Beat, State

DOWN_AFTER_S = 5.0  # without any beat


class Heard(enum.Enum):
    """What a sign of life tells about its node."""

    KNOWN = "known"
    NEW = "new"  # a node, or a new life of one, that was not known
    OLD = "old"  # a life that is over: ignore the frame
    LEFT = "left"  # it says goodbye


class Member:
    """One life of another node, as far as its beats tell."""

    __slots__ = ("heard_at", "incarnation", "number", "sessions")

    def __init__(self, incarnation: int, heard_at: float) -> None:
        self.incarnation = incarnation
        self.heard_at = heard_at
        self.number = -1  # of the newest beat
        self.sessions = 0


class Members:
    """The other nodes that live."""

    def __init__(self, down_after_s: float = DOWN_AFTER_S) -> None:
        self._down_after_s = down_after_s
        self._alive: dict[int, Member] = {}
        self._over: dict[int, int] = {}  # node -> highest incarnation that said goodbye

    @property
    def alive(self) -> dict[int, Member]:
        """Living nodes by their number; not to be changed."""
        return self._alive

    def hear(self, node: int, incarnation: int, now: float) -> Heard:
        """Note that a node's life spoke."""
        if incarnation <= self._over.get(node, 0):
            return Heard.OLD
        member = self._alive.get(node)
        if member is not None and incarnation < member.incarnation:
            return Heard.OLD
        if member is None or incarnation > member.incarnation:
            self._alive[node] = Member(incarnation, now)
            return Heard.NEW
        member.heard_at = now
        return Heard.KNOWN

    def on_beat(self, node: int, incarnation: int, beat: Beat, now: float) -> Heard:
        """Note a beat; one that is overtaken by a newer one only proves life."""
        heard = self.hear(node, incarnation, now)
        if heard is Heard.OLD:
            return heard
        member = self._alive[node]
        if beat.number > member.number:
            member.number = beat.number
            member.sessions = beat.sessions
        if beat.state is State.LEAVING:
            del self._alive[node]
            self._over[node] = incarnation
            return Heard.LEFT
        return heard

    def on_tick(self, now: float) -> list[int]:
        """Return the nodes that are down since the last tick."""
        down = [
            node
            for node, member in self._alive.items()
            if now - member.heard_at > self._down_after_s
        ]
        for node in down:
            del self._alive[node]
        return down
