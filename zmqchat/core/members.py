"""Who is alive: the lives of other nodes, told from beats, relayed beats, links and others' doubt.

Knows node numbers, incarnations, beat numbers and the time it is told (monotonic, seconds). Must
not know what a node carries (its presence log) or how frames travel.

- One life of a node is known at a time, the one with the highest incarnation heard. A life that
  was left, replaced or forgotten is over; a forgotten one that beats on was only away.
- ALIVE -> SUSPECT after 60 % of D without a newer beat, or when its link breaks; -> DOWN after D,
  or earlier if enough others lost their links too; -> forgotten after 10 minutes. A newer beat,
  direct or relayed, makes it ALIVE again at any time before.
- D is the larger of 5 s and 3.5 of the intervals that the node itself told.
- A node that was paused, cut off from everybody, or suspects nearly all, judges nobody.
- Only what a node sends itself makes it known; what others tell of it keeps it alive.
"""

from __future__ import annotations

import array
import enum
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from zmqchat.core.deadlines import Deadlines
from zmqchat.wire.mesh import MAX_NODE, Beat, Relay, State, Suspicion

LEAST_DOWN_S = 5.0  # D, whatever the interval
DOWN_INTERVALS = 3.5
SUSPECT_SHARE = 0.6  # of D
FORGET_AFTER_S = 600.0
PROBES = 3
PROBE_EVERY_S = 0.5
CONFIRM_AFTER_S = 1.0  # with a broken link and enough reporters
REPORTERS = 3
REFUSED_FOR_S = 2.0  # the only other node's port
DOUBT_FROM_NODES = 8
DOUBT_SHARE = 0.3
DOUBT_MOST_S = 10.0
RELAYS = 8
URGENT_RELAYS = 8  # on top, of nodes that others suspect
FIRST_BEAT = Beat(1000, 0, 0, 0, State.JOINING, 0)  # of a node that has not beaten yet
ENDLESS = 2**64 - 1  # as large as any beat's number


class Life(enum.Enum):
    """What is thought of a node."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DOWN = "down"


class Turn(enum.Enum):
    """What happened to a node."""

    CAME = "came"  # a node, or a new life of one, that was not known
    BACK = "back"  # it was suspect or down, and beats again
    SUSPECT = "suspect"
    DOWN = "down"
    LEFT = "left"  # it said goodbye
    FORGOTTEN = "forgotten"


class Event(NamedTuple):
    """A turn, and what was thought of the node before; None if it was unknown."""

    turn: Turn
    node: int
    was: Life | None


class Over(NamedTuple):
    """The newest life of a node that is over, and the number of its last beat."""

    incarnation: int
    number: int


class _Case:
    """What speaks against a node."""

    __slots__ = ("probes", "reporters", "since")

    def __init__(self) -> None:
        self.since = math.inf  # since when it is suspect
        self.probes = 0  # sent so far
        self.reporters: dict[int, float] = {}  # other nodes that suspect it, and since when


class Member:
    """One life of another node."""

    __slots__ = ("beat", "case", "down_after_s", "heard_at", "incarnation", "life")

    def __init__(self, incarnation: int, heard_at: float) -> None:
        self.incarnation = incarnation
        self.heard_at = heard_at
        self.beat = FIRST_BEAT  # the newest it sent itself
        self.down_after_s = LEAST_DOWN_S
        self.life = Life.ALIVE
        self.case: _Case | None = None

    @property
    def sessions(self) -> int:
        """How many sessions it has."""
        return self.beat.sessions

    @property
    def state(self) -> State:
        """What it said of itself."""
        return self.beat.state


class Members:
    """The other nodes. ``events``, ``suspicions`` and ``probes`` are taken by the caller."""

    def __init__(self, *, relays: int = RELAYS) -> None:
        self.events: list[Event] = []
        self.suspicions: list[Suspicion] = []  # to tell everybody
        self.probes: list[int] = []  # nodes to probe
        self._relays = relays
        # The number of each node's newest beat. That of a node that is not known is endless, so
        # that one look, at one small array, tells that a relayed beat is of no interest.
        self._newest = array.array("Q", [ENDLESS]) * (MAX_NODE + 1)
        self._members: dict[int, Member] = {}
        self._over: dict[int, Over] = {}
        self._cut: dict[int, bool] = {}  # whose link to us is broken -> whether it is refused
        self._urgent: dict[int, None] = {}  # suspected by others, though heard by us
        self._deadlines: Deadlines[int] = Deadlines()
        self._frozen = False
        self._judge_at = -math.inf  # nobody before
        self._doubt_ends = math.inf
        self._doubted_until: float | None = None  # found out once a tick

    # Who there is.

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[int]:
        return iter(self._members)

    def get(self, node: int) -> Member | None:
        """Find a node, whatever is thought of it; not to be changed."""
        return self._members.get(node)

    @property
    def alive(self) -> dict[int, Member]:
        """The nodes that are not down, by number."""
        return {node: one for node, one in self._members.items() if one.life is not Life.DOWN}

    @property
    def frozen(self) -> bool:
        """Whether no link to anybody is up, so that nothing can be known."""
        return self._frozen

    @property
    def deaf(self) -> bool:
        """Whether a node that may live cannot be heard: it is silent, or its link is broken."""
        return self._frozen or any(
            one.life is not Life.ALIVE or node in self._cut for node, one in self._members.items()
        )

    def judges(self, now: float) -> bool:
        """Whether silence means anything now."""
        return not self._frozen and now >= self._judge_at

    @property
    def next(self) -> float:
        """When to call `on_tick`."""
        return math.inf if self._frozen else max(self._deadlines.next, self._judge_at)

    # Signs of life.

    def hear(self, node: int, incarnation: int, now: float) -> bool:
        """Note that a node's life spoke; False if that life is over: ignore what it said."""
        member = self._find(node, incarnation, -1, now)
        if member is None:
            return False
        self._evidence(node, member, now, now)
        return True

    def on_beat(self, node: int, incarnation: int, beat: Beat, now: float) -> bool:
        """Note a beat and those it relays; False if that life is over: ignore the beat."""
        member = self._members.get(node)
        if member is None or member.incarnation != incarnation:
            member = self._find(node, incarnation, beat.number, now)
            if member is None:
                return False
        newest = self._newest
        if beat.number > newest[node]:
            newest[node] = beat.number
            member.heard_at = now
            if member.case is not None:
                self._evidence(node, member, now, now)
        known = member.beat
        if beat.number >= known.number:
            member.beat = beat
            if beat.state is not known.state or beat.interval_ms != known.interval_ms:
                self._note_state(node, member)
        for other, life, number, age_ms in beat.relays:
            if number > newest[other]:
                self._on_relay(other, life, number, now - age_ms / 1000, now)
        return True

    def _on_relay(self, node: int, incarnation: int, number: int, at: float, now: float) -> None:
        """Note that somebody heard a newer beat than we did."""
        member = self._members[node]
        if member.incarnation == incarnation:
            self._newest[node] = number
            self._evidence(node, member, at, now)

    def _find(self, node: int, incarnation: int, number: int, now: float) -> Member | None:
        """Find the life that speaks, or begin to know it; None if it is over."""
        member = self._members.get(node)
        if member is not None and member.incarnation >= incarnation:
            return member if member.incarnation == incarnation else None
        if Over(incarnation, number) <= self._over.get(node, (0, 0)):
            return None
        if member is not None:
            self._over[node] = Over(member.incarnation, ENDLESS)
        self._members[node] = Member(incarnation, now)
        self._newest[node] = 0
        self._cut.pop(node, None)
        self._deadlines.add(node, now + SUSPECT_SHARE * LEAST_DOWN_S)
        self.events.append(Event(Turn.CAME, node, member.life if member is not None else None))
        return self._members[node]

    def _evidence(self, node: int, member: Member, at: float, now: float) -> None:
        """Note that a node lived at a moment, and whether that clears it."""
        member.heard_at = max(member.heard_at, at)
        if member.life is Life.ALIVE:
            if member.case is not None and at >= max(member.case.reporters.values(), default=0.0):
                member.case = None
            return
        case = member.case
        # A broken link tells more than a beat that was sent before it broke.
        if node in self._cut and case is not None and at < case.since:
            return
        if now - member.heard_at >= SUSPECT_SHARE * member.down_after_s:
            return
        self.events.append(Event(Turn.BACK, node, member.life))
        member.life, member.case = Life.ALIVE, None
        self._deadlines.add(node, member.heard_at + SUSPECT_SHARE * member.down_after_s)

    def _note_state(self, node: int, member: Member) -> None:
        beat = member.beat
        member.down_after_s = max(LEAST_DOWN_S, DOWN_INTERVALS * beat.interval_ms / 1000)
        if beat.state is State.LEAVING:
            self._end(node, Turn.LEFT, ENDLESS)

    def _end(self, node: int, turn: Turn, number: int) -> None:
        member = self._members.pop(node)
        self._newest[node] = ENDLESS
        self._over[node] = Over(member.incarnation, number)
        self._deadlines.discard(node)
        self._urgent.pop(node, None)
        self.events.append(Event(turn, node, member.life))

    # What others need to know.

    def relays(self, now: float, sample: Callable[[list[int], int], list[int]]) -> list[Relay]:
        """Choose the beats to relay: at random, and of those whom others suspect."""
        members, newest = self._members, self._newest
        if not self._relays:
            return []
        others, urgent = list(members), list(self._urgent)
        self._urgent.clear()
        # Where all hear the same doubts, chance lets each of us answer others of them.
        chosen = sample(urgent, min(URGENT_RELAYS, len(urgent)))
        chosen += sample(others, min(self._relays, len(others)))
        return [
            (node, member.incarnation, newest[node], int((now - member.heard_at) * 1000))
            for node in dict.fromkeys(chosen)
            if (member := members[node]).life is Life.ALIVE and newest[node]
        ]

    # Signs of death.

    def on_link(self, node: int, now: float, *, up: bool, refused: bool = False) -> None:
        """Note that the link from a node came up or broke; ``refused``: its port is closed."""
        member = self._members.get(node)
        if member is None or up:
            self._cut.pop(node, None)
            return
        self._cut[node] = refused or self._cut.get(node, False)
        if member.life is Life.ALIVE:
            self._suspect(node, member, now)
        elif member.life is Life.SUSPECT:
            self._deadlines.add(node, now)

    def on_suspicion(self, reporter: int, suspicion: Suspicion, now: float) -> None:
        """Note whom a peer suspects."""
        node = suspicion.node
        member = self._members.get(node)
        if member is None or member.incarnation != suspicion.incarnation or node == reporter:
            return
        if self._newest[node] > suspicion.number and member.life is Life.ALIVE:
            self._urgent[node] = None
        if member.case is None:
            member.case = _Case()
        member.case.reporters[reporter] = now
        if member.life is Life.SUSPECT:
            self._deadlines.add(node, now)

    def _suspect(self, node: int, member: Member, now: float) -> None:
        case = member.case = member.case or _Case()
        case.since, case.probes = now, 0
        member.life = Life.SUSPECT
        self.events.append(Event(Turn.SUSPECT, node, Life.ALIVE))
        if node in self._cut or len(case.reporters) < REPORTERS:
            self.suspicions.append(Suspicion(node, member.incarnation, self._newest[node]))
        self._deadlines.add(node, now)

    # Verdicts.

    def on_tick(self, now: float) -> None:
        """Judge whoever is due."""
        if not self.judges(now):
            return
        self._doubted_until = None
        for node in self._deadlines.due(now):
            member = self._members[node]
            if member.life is Life.ALIVE:
                at = member.heard_at + SUSPECT_SHARE * member.down_after_s
                if now < at:
                    self._deadlines.add(node, at)
                else:
                    self._suspect(node, member, now)
            elif member.life is Life.SUSPECT:
                self._judge_suspect(node, member, now)
            elif now >= member.heard_at + FORGET_AFTER_S:
                self._end(node, Turn.FORGOTTEN, self._newest[node])
            else:
                self._deadlines.add(node, member.heard_at + FORGET_AFTER_S)

    def _judge_suspect(self, node: int, member: Member, now: float) -> None:
        case = member.case
        assert case is not None  # noqa: S101 - a suspect has one
        at = self._down_at(node, member, case)
        if now >= at:
            if self._doubted_until is None:
                self._doubted_until = self._after_doubt(now)
            at = self._doubted_until
        if now >= at:
            member.life = Life.DOWN
            self.events.append(Event(Turn.DOWN, node, Life.SUSPECT))
            self._deadlines.add(node, now + FORGET_AFTER_S)
            return
        probe_at = case.since + case.probes * PROBE_EVERY_S
        if case.probes < PROBES and now >= probe_at:
            self.probes.append(node)
            case.probes += 1
            probe_at += PROBE_EVERY_S
        self._deadlines.add(node, min(at, probe_at) if case.probes < PROBES else at)

    def _down_at(self, node: int, member: Member, case: _Case) -> float:
        """When a suspect is down if nothing is heard of it."""
        at = member.heard_at + member.down_after_s
        if node not in self._cut:
            return at
        others = [one.life for other, one in self._members.items() if other != node]
        if all(life is Life.DOWN for life in others):
            return min(at, case.since + REFUSED_FOR_S) if self._cut[node] else at
        needed = max(1, min(REPORTERS, others.count(Life.ALIVE)))
        if len(case.reporters) >= needed:
            at = min(at, case.since + CONFIRM_AFTER_S)
        return at

    def _after_doubt(self, now: float) -> float:
        """When a verdict counts: later than now if it is rather we who are cut off."""
        alone = sum(
            1
            for member in self._members.values()
            if member.life is Life.SUSPECT and member.case and not member.case.reporters
        )
        nodes = len(self.alive) + 1
        if nodes < DOUBT_FROM_NODES or alone <= DOUBT_SHARE * (nodes - 1):
            self._doubt_ends = math.inf
            return now
        if self._doubt_ends == math.inf:
            self._doubt_ends = now + DOUBT_MOST_S
        return max(now, self._doubt_ends)

    # When silence means nothing.

    def pause(self, lost_s: float, judge_at: float, now: float) -> None:
        """Shift every deadline by a pause of our own, and judge nobody before a moment."""
        for member in self._members.values():
            member.heard_at = min(now, member.heard_at + lost_s)
            if member.life is Life.SUSPECT and member.case is not None:
                member.case.since = min(now, member.case.since + lost_s)
        self._judge_at = max(self._judge_at, judge_at)

    def freeze(self, now: float) -> None:
        """No link is up: everybody is suspect, and nobody is judged until `thaw`."""
        self._frozen = True
        for node, member in self._members.items():
            if member.life is Life.ALIVE:
                member.case = member.case or _Case()
                member.case.since, member.case.probes = now, 0
                member.life = Life.SUSPECT
                self.events.append(Event(Turn.SUSPECT, node, Life.ALIVE))

    def thaw(self, now: float) -> None:
        """A link is up again: every deadline starts anew."""
        self._frozen = False
        for node, member in self._members.items():
            if member.life is Life.DOWN:
                continue
            member.heard_at = now
            if member.case is not None:
                member.case.since = now
                member.case.reporters.clear()
            self._deadlines.add(node, now)
