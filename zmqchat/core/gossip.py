"""Presence and life of the cluster, as one node sees them: frames, links and time in, effects out.

Puts together the journal (our sessions), the presence of others, the members (who lives), the
roster (what agents see), repair and answers. Must not know sockets or clocks: each call brings
the time (monotonic, seconds), and `next_wakeup` says when `on_tick` is to be called at the latest.

- Before silence is judged, what has arrived is taken: after a pause nobody is judged for a while.
- The sessions of a node that is alive are sure, those of a suspect are not, those of a node that
  is down do not count, but are kept until it is forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from zmqchat.core.answers import Answers
from zmqchat.core.journal import Journal
from zmqchat.core.members import RELAYS, Event, Life, Members, Turn
from zmqchat.core.presence import Diff, Presence
from zmqchat.core.repair import Repair
from zmqchat.core.roster import LINGER_S, LONG_LINGER_S, RETURN_LINGER_S, Change, Roster, Sure
from zmqchat.wire.mesh import (
    Beat,
    Control,
    Delta,
    Header,
    Probe,
    ProbeAck,
    SessionEntry,
    Snapshot,
    State,
    Suspicion,
    SyncRequest,
)

JITTER = 0.1  # of the interval, so that nodes do not beat in step
FIRST_BEATS_S = 0.1  # between the first two
FIRST_BEATS_FACTOR = 4  # from one pause to the next, until it is the interval
YOUNG_S = 3.0  # so long a node's own first beats make it known
EXTRA_BEATS = 2  # after a change of state, since one may be lost
EXTRA_BEAT_S = 0.1
PUBLISH_AFTER_S = 0.1  # changes are gathered this long before peers are told
TELL_AFTER_S = 0.2  # and this long before agents are told
TICKS_AN_INTERVAL = 5  # silence is looked at no more often
LEAST_PAUSE_S = 0.5
LEAST_QUIET_S = 1.0  # after a pause, without verdicts
GOODBYES = 3  # a beat may be lost, so the last one is said more than once

_SURE = {Life.ALIVE: Sure.YES, Life.SUSPECT: Sure.NO, Life.DOWN: None}
_LEAVING = frozenset({State.DRAINING, State.LEAVING})
_STANDING = {
    Turn.BACK: Life.ALIVE,
    Turn.SUSPECT: Life.SUSPECT,
    Turn.DOWN: Life.DOWN,
}


class Publish(NamedTuple):
    """Send a frame to everybody, or to one node alone."""

    control: Control
    to_node: int | None = None


class Tell(NamedTuple):
    """Tell agents of a change."""

    change: Change


class News(NamedTuple):
    """A node came, was doubted, went, came back or was forgotten."""

    turn: Turn
    node: int


Effect = Publish | Tell | News
_NO_EFFECTS: Sequence[Effect] = ()


class Rng(Protocol):
    """Where chance comes from: `random.Random` fits."""

    def uniform(self, a: float, b: float) -> float:
        """Draw a number between two."""

    def sample(self, population: Sequence[Any], k: int) -> list[Any]:
        """Draw so many different ones."""


def interval_of(nodes: int) -> float:
    """Seconds between two beats in a cluster of so many nodes."""
    if nodes <= 50:
        return 0.5
    return 1.0 if nodes <= 250 else min(4.0, nodes / 250)


class Gossip:
    """One node's part of the gossip.

    The first beats follow each other fast, so that a newcomer is known soon; not if it is
    ``settled`` in a cluster of so many nodes, as in a simulation that begins in the middle.
    While it is JOINING, no others send sessions to it; `opened` ends that.
    ``relays`` and ``guards_pauses`` are there to show in simulations what they are good for.
    """

    def __init__(
        self,
        node: int,
        incarnation: int,
        rng: Rng,
        now: float,
        *,
        chat_oseq: Callable[[], int] = lambda: 0,
        state: State = State.UP,
        settled: int = 0,
        relays: int = RELAYS,
        guards_pauses: bool = True,
    ) -> None:
        self.node = node
        self.incarnation = incarnation
        self.journal = Journal()
        self.presence = Presence()
        self.members = Members(relays=relays)
        self.roster = Roster()
        self.repair = Repair(rng.uniform)
        self.state = state
        self.interval_s = interval_of(1)
        self.next_wakeup = now
        self._answers = Answers(self.journal.answer)
        self._rng = rng
        self._chat_oseq = chat_oseq
        self._guards_pauses = guards_pauses
        self._effects: list[Effect] = []
        self._started_at = now
        self._beats = 0
        self._beat_at = now + (rng.uniform(0, interval_of(settled)) if settled else 0)
        self._beaten_at = -math.inf
        self._first_beats_s = math.inf if settled else FIRST_BEATS_S
        self._extra_beats = 0
        self._publish_at = math.inf
        self._tell_at = math.inf
        self._judged_at = now
        self._held = False  # nobody goes offline
        self._quiet_until = -math.inf
        self._frozen_at = -math.inf
        self._returned = False  # after an absence in which users may have gone long ago
        self._take: dict[type, Callable[[Header, Any, float], None]] = {
            Delta: self._on_delta,
            Snapshot: self._on_snapshot,
            SyncRequest: self._on_sync_request,
            Probe: self._on_probe,
            ProbeAck: self._on_probe_ack,
            Suspicion: self._on_suspicion,
        }

    # Sessions of this node.

    def open(self, entry: SessionEntry, now: float) -> Sequence[Effect]:
        """Note a session that opened here."""
        self.journal.open(entry)
        self.roster.move(_customers([entry]), now, None, Sure.YES)
        return self._own_change(now)

    def close(self, session: int, now: float) -> Sequence[Effect]:
        """Note that a session of this node closed."""
        entry = self.journal.close(session)
        linger_s = _linger_s(self.state)
        self.roster.move(_customers([entry]), now, Sure.YES, None, linger_s)
        return self._own_change(now)

    def _own_change(self, now: float) -> Sequence[Effect]:
        self._publish_at = min(self._publish_at, now + PUBLISH_AFTER_S)
        return self._finish(now)

    # Frames of peers.

    def in_step(self, node: int) -> bool:
        """Whether all is known that a node has told of its sessions so far."""
        member = self.members.get(node)
        if member is None:
            return True
        beat = member.beat
        return self.presence.knows(node, member.incarnation, beat.version, beat.hash)

    def on_frame(self, header: Header, control: Control, now: float) -> Sequence[Effect]:
        """Take a frame of a peer."""
        node, incarnation = header.node, header.incarnation
        if type(control) is not Beat:
            if not self.members.hear(node, incarnation, now):
                return _NO_EFFECTS
            self._take_events(now)
            self._take[type(control)](header, control, now)
            return self._finish(now)
        if not self.members.on_beat(node, incarnation, control, now):
            return _NO_EFFECTS
        if not self.members.events and self.presence.knows(
            node, incarnation, control.version, control.hash
        ):
            return _NO_EFFECTS
        self._take_events(now)
        self._on_told(header, (control.version, control.hash), now)
        return self._finish(now)

    def _on_told(self, header: Header, told: tuple[int, int], now: float) -> None:
        """Compare with the version that an origin told of itself."""
        node = header.node
        if self.members.get(node) is None:
            return
        if not self.presence.knows(node, header.incarnation, *told):
            self.repair.open(node, told, now)
        target = self.repair.target(node)
        if target is not None and self.presence.knows(node, header.incarnation, *target):
            self.repair.close(node, now)

    def _on_delta(self, header: Header, delta: Delta, now: float) -> None:
        node = header.node
        before = self.presence.version(node)
        self._move(node, self.presence.on_delta(node, header.incarnation, delta), now)
        self._on_log(header, before, (delta.to_version, delta.hash), now)

    def _on_snapshot(self, header: Header, snapshot: Snapshot, now: float) -> None:
        node = header.node
        if self.repair.target(node) is None:
            return  # nobody asked
        before = self.presence.version(node)
        self.repair.heard(node, now)
        self._move(node, self.presence.on_snapshot(node, header.incarnation, snapshot), now)
        self._on_log(header, before, (snapshot.version, snapshot.hash), now)

    def _on_log(
        self, header: Header, before: tuple[int, int], told: tuple[int, int], now: float
    ) -> None:
        """Look whether a frame that may have changed a log was all that was missing."""
        self._on_told(header, told, now)
        if self.presence.version(header.node) != before:
            self.repair.progressed(header.node, now)

    def _on_sync_request(self, header: Header, request: SyncRequest, now: float) -> None:
        if request.incarnation == self.incarnation:
            self._answers.ask(header.node, request, now)

    def _on_probe(self, header: Header, probe: Probe, now: float) -> None:
        self._effects.append(Publish(ProbeAck(probe.number, probe.with_chat), header.node))
        if probe.with_chat:  # by a newcomer, which need not wait for our next beat
            self._beat_to(header.node, now)

    def _on_probe_ack(self, _header: Header, _ack: ProbeAck, _now: float) -> None:
        """Need nothing more: whatever a node sends is a sign of life."""

    def _on_suspicion(self, header: Header, suspicion: Suspicion, now: float) -> None:
        if suspicion.node != self.node:
            self.members.on_suspicion(header.node, suspicion, now)
        elif suspicion.incarnation == self.incarnation:
            self._beat_at = min(self._beat_at, max(now, self._beaten_at + EXTRA_BEAT_S))

    # Links.

    def on_link(
        self, node: int, now: float, *, up: bool, refused: bool = False
    ) -> Sequence[Effect]:
        """Note that the link from a node came up or broke; ``refused``: its port is closed."""
        self.members.on_link(node, now, up=up, refused=refused)
        return self._finish(now)

    def on_forwarders(self, now: float, *, up: bool) -> Sequence[Effect]:
        """Note that a link to any forwarder is up, or that none is."""
        if up == self.members.frozen:
            if up:
                self.members.thaw(now)
                self._returned = now - self._frozen_at > LINGER_S
                self._beat_at = min(self._beat_at, now + self._rng.uniform(0, EXTRA_BEAT_S))
                self._hold_until(now + max(LEAST_QUIET_S, self.interval_s))
            else:
                self.members.freeze(now)
                self._frozen_at = now
        return self._finish(now)

    # Joining and leaving.

    def opened(self, now: float) -> Sequence[Effect]:
        """Tell everybody that this node takes sessions."""
        return self._turn(State.UP, now)

    def drain(self, now: float) -> Sequence[Effect]:
        """Tell everybody that this node leaves soon."""
        return self._turn(State.DRAINING, now)

    def _turn(self, state: State, now: float) -> Sequence[Effect]:
        self.state = state
        self._extra_beats = EXTRA_BEATS
        self._beat_at = now
        return self.on_tick(now)

    def leave(self, now: float) -> Sequence[Effect]:
        """Say goodbye; nothing is to be called afterwards."""
        self.state = State.LEAVING
        self._publish(now)
        for _ in range(GOODBYES):
            self._beat(now)
        return self._finish(now)

    # Time.

    def on_tick(self, now: float) -> Sequence[Effect]:
        """Do what is due."""
        self._guard_against_pause(now)
        if now >= self._publish_at:
            self._publish(now)
        if now >= self._beat_at:
            self._beat(now)
        if now >= self._judges_at():
            self._judged_at = now
            self.members.on_tick(now)
        self._ask_and_answer(now)
        self._expire(now)
        self._take_events(now)
        if now >= self._tell_at:
            self._tell_gathered()
        return self._finish(now)

    def tell(self, now: float) -> Sequence[Effect]:
        """Tell agents now what was gathered for them."""
        self._take_events(now)
        self._tell_gathered()
        return self._finish(now)

    def _tell_gathered(self) -> None:
        self._tell_at = math.inf
        if (change := self.roster.take()) is not None:
            self._effects.append(Tell(change))

    def _guard_against_pause(self, now: float) -> None:
        lost_s = now - self.next_wakeup
        if lost_s <= max(LEAST_PAUSE_S, self.interval_s / 2) or not self._guards_pauses:
            return
        quiet_until = now + max(LEAST_QUIET_S, self.interval_s)
        self.members.pause(lost_s, quiet_until, now)
        self._hold_until(quiet_until)

    def _hold_until(self, until: float) -> None:
        self._quiet_until = max(self._quiet_until, until)
        self._held = True

    def _publish(self, _now: float) -> None:
        self._publish_at = math.inf
        self._effects += [Publish(delta) for delta in self.journal.take_deltas()]

    def _beat(self, now: float) -> None:
        self._beats += 1
        self._beaten_at = now
        self.interval_s = interval_of(len(self.members.alive) + 1)
        self._effects.append(Publish(self._make_beat(now)))
        pause_s = self.interval_s * self._rng.uniform(1 - JITTER, 1 + JITTER)
        if self._extra_beats:
            self._extra_beats -= 1
            pause_s = EXTRA_BEAT_S
        if self._first_beats_s < pause_s:
            pause_s = self._first_beats_s
            self._first_beats_s *= FIRST_BEATS_FACTOR
        self._beat_at = now + pause_s

    def _beat_to(self, node: int, now: float) -> None:
        self._beats += 1
        self._effects.append(Publish(self._make_beat(now), node))

    def _make_beat(self, now: float) -> Beat:
        return Beat(
            interval_ms=int(self.interval_s * 1000),
            number=self._beats,
            version=self.journal.version,
            sessions=len(self.journal),
            state=self.state,
            chat_oseq=self._chat_oseq(),
            hash=self.journal.hash,
            relays=self.members.relays(now, self._rng.sample),
        )

    def _ask_and_answer(self, now: float) -> None:
        for node in self.repair.due(now, self._longest_unasked_s):
            member = self.members.get(node)
            if member is not None:
                version, version_hash = self.presence.version(node)
                request = SyncRequest(member.incarnation, version, version_hash)
                self._effects.append(Publish(request, node))
        self._effects += [Publish(frame, node) for node, frame in self._answers.due(now)]

    def _longest_unasked_s(self, node: int) -> float:
        member = self.members.get(node)
        return 2 * member.beat.interval_ms / 1000 if member is not None else 0.0

    def _expire(self, now: float) -> None:
        if self.members.frozen:
            self._held = True
        elif self._held and now >= self._hold_ends():
            self._held = False
            self.roster.release(now, RETURN_LINGER_S if self._returned else LINGER_S)
            self._returned = False
        self.roster.expire(now, hold=self._held)

    def _hold_ends(self) -> float:
        """When users may go offline again: after an absence not before all logs are in step.

        Who is gone from all of them then has nowhere come back, and need not linger as long.
        """
        if not self._returned or self._is_whole():
            return self._quiet_until
        return self._quiet_until + LINGER_S

    def _is_whole(self) -> bool:
        return all(
            member.life is Life.ALIVE and self.in_step(node)
            for node, member in self.members.alive.items()
        )

    def _judges_at(self) -> float:
        return max(self.members.next, self._judged_at + self.interval_s / TICKS_AN_INTERVAL)

    def _finish(self, now: float) -> Sequence[Effect]:
        """Hand out the effects, and find when to wake up."""
        self._take_events(now)
        if self.roster.changed and self._tell_at == math.inf:
            self._tell_at = now + TELL_AFTER_S
        self.next_wakeup = min(
            self._publish_at,
            self._beat_at,
            self._tell_at,
            self._judges_at(),
            self.repair.next,
            self._answers.next,
            self.roster.next,
            self._hold_ends() if self._held and not self.members.frozen else math.inf,
        )
        effects, self._effects = self._effects, []
        return effects

    # What happened to nodes.

    def _take_events(self, now: float) -> None:
        members = self.members
        if members.events:
            events, members.events = members.events, []
            for event in events:
                self._on_event(event, now)
        if members.suspicions:
            self._effects += [Publish(suspicion) for suspicion in members.suspicions]
            members.suspicions = []
        if members.probes:
            self._effects += [Publish(Probe(self._beats), node) for node in members.probes]
            members.probes = []

    def _on_event(self, event: Event, now: float) -> None:
        turn, node, was = event
        sure = _SURE[was] if was is not None else None
        if turn in _STANDING:
            users = _customers(self.presence.sessions(node))
            self.roster.move(users, now, sure, _SURE[_STANDING[turn]])
        else:
            # Nothing is left of a life that is over.
            linger_s = LONG_LINGER_S if turn is Turn.LEFT else LINGER_S
            users = _customers(self.presence.drop(node))
            self.roster.move(users, now, sure, None, linger_s)
        if turn in (Turn.DOWN, Turn.LEFT, Turn.CAME):
            self.repair.close(node, now)
        if turn is Turn.CAME and now > self._started_at + YOUNG_S and self.state not in _LEAVING:
            # So that a newcomer need not wait for our next beat.
            self._beat_to(node, now)
        self._effects.append(News(turn, node))

    def _move(self, node: int, diff: Diff, now: float) -> None:
        member = self.members.get(node)
        sure = _SURE[member.life] if member is not None else None
        if sure is None:
            return
        assert member is not None  # noqa: S101 - or nothing were sure
        self.roster.move(_customers(diff.opened), now, None, sure)
        linger_s = _linger_s(member.state)
        if self._returned and linger_s == LINGER_S:
            linger_s = RETURN_LINGER_S
        self.roster.move(_customers(diff.closed), now, sure, None, linger_s)


def _customers(entries: Iterable[SessionEntry]) -> list[str]:
    return [entry.user for entry in entries if not entry.agent]


def _linger_s(state: State) -> float:
    return LONG_LINGER_S if state in _LEAVING else LINGER_S
