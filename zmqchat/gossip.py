"""Who is online and who lives: the gossip between nodes, with its timers.

Stands between the sessions of this node, the bus and the agents' list. The rules are those of
`core.presence` and `core.members`; here are only the clock, the frames and who is told.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from zmqchat.core.members import Heard, Members
from zmqchat.core.presence import Diff, Presence
from zmqchat.core.roster import Change, Roster
from zmqchat.core.sessions import Session
from zmqchat.mesh.bus import Bus
from zmqchat.wire.mesh import (
    Beat,
    Control,
    Delta,
    Header,
    SessionEntry,
    Snapshot,
    State,
    SyncRequest,
)

log = logging.getLogger(__name__)

BEAT_S = 0.5  # for up to 50 nodes; each beat says its interval
JITTER = 0.1  # of the interval, so that nodes do not beat in step
PUBLISH_AFTER_S = 0.1  # changes are gathered this long before peers are told
TELL_AFTER_S = 0.2  # and this long before agents are told
GOODBYES = 3  # a beat may be lost, so the last one is said more than once


class Gossip:
    """Publishes this node's log of sessions, and merges those of its peers.

    ``changed`` is called with what agents are to be told; ``news`` when a node came or went.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        rng: random.Random,
        changed: Callable[[Change], None],
        news: Callable[[], None],
    ) -> None:
        self.presence = Presence()
        self.members = Members()
        self.roster = Roster()
        self._bus = bus
        self._rng = rng
        self._changed = changed
        self._news = news
        self._beats = 0
        self._loop = asyncio.get_running_loop()
        self._beat_timer: asyncio.TimerHandle | None = None
        self._publish_timer: asyncio.TimerHandle | None = None
        self._tell_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to beat."""
        self._tick()

    def stop(self) -> None:
        """Say goodbye and be silent."""
        for timer in (self._beat_timer, self._publish_timer, self._tell_timer):
            if timer is not None:
                timer.cancel()
        for _ in range(GOODBYES):
            self._publish_beat(State.LEAVING)

    # Sessions of this node.

    def open(self, session: Session) -> None:
        """Tell the cluster of a session that opened here."""
        entry = SessionEntry(session.number, session.user, session.agent)
        self._own_change(self.presence.open(entry))

    def close(self, session: Session) -> None:
        """Tell the cluster of a session that closed here."""
        self._own_change(self.presence.close(session.number))

    def _own_change(self, diff: Diff) -> None:
        self._tell(diff)
        if self._publish_timer is None:
            self._publish_timer = self._loop.call_later(PUBLISH_AFTER_S, self._publish)

    def _publish(self) -> None:
        self._publish_timer = None
        for delta in self.presence.take_deltas():
            self._bus.publish_control(delta)

    # Frames of peers.

    def on_control(self, header: Header, control: Control) -> None:
        """Take a frame of a peer."""
        node, incarnation = header.node, header.incarnation
        now = self._loop.time()
        if isinstance(control, Beat):
            heard = self.members.on_beat(node, incarnation, control, now)
        else:
            heard = self.members.hear(node, incarnation, now)
        if heard is Heard.OLD:
            return
        if heard is Heard.NEW:
            log.info("node %d is up, incarnation %d", node, incarnation)
            self._tell(self.presence.begin(node, incarnation))
            self._news()
        elif heard is Heard.LEFT:
            log.info("node %d left", node)
            self._tell(self.presence.drop(node))
            self._news()
            return
        self._apply(node, incarnation, control, now)

    def _apply(self, node: int, incarnation: int, control: Control, now: float) -> None:
        match control:
            case Beat(version=version):
                self._ask(node, incarnation, version, now)
            case Delta(to_version=version):
                self._tell(self.presence.on_delta(node, incarnation, control))
                self._ask(node, incarnation, version, now)
            case Snapshot():
                self._tell(self.presence.on_snapshot(node, incarnation, control))
            case SyncRequest():
                for chunk in self.presence.snapshot():
                    self._bus.publish_control(chunk, to_node=node)

    def _ask(self, node: int, incarnation: int, version: int, now: float) -> None:
        request = self.presence.missing(node, incarnation, version, now)
        if request is not None:
            self._bus.publish_control(request, to_node=node)

    # Time.

    def _tick(self) -> None:
        for node in self.members.on_tick(self._loop.time()):
            log.warning("node %d is down: no beat for 5 s", node)
            self._tell(self.presence.drop(node))
            self._news()
        self._publish_beat(State.UP)
        interval = BEAT_S * self._rng.uniform(1 - JITTER, 1 + JITTER)
        self._beat_timer = self._loop.call_later(interval, self._tick)

    def _publish_beat(self, state: State) -> None:
        self._beats += 1
        self._bus.publish_control(
            Beat(
                interval_ms=int(BEAT_S * 1000),
                number=self._beats,
                version=self.presence.published,
                sessions=self.presence.own_sessions,
                state=state,
                chat_oseq=self._bus.chat_oseq,
            )
        )

    # Agents.

    def _tell(self, diff: Diff) -> None:
        if self.roster.add(diff) and self._tell_timer is None:
            self._tell_timer = self._loop.call_later(TELL_AFTER_S, self.tell_now)

    def tell_now(self) -> None:
        """Tell agents what was gathered, so that the list and its version stand for each other."""
        if self._tell_timer is not None:
            self._tell_timer.cancel()
            self._tell_timer = None
        if (change := self.roster.take()) is not None:
            self._changed(change)
