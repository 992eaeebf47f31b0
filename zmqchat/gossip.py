"""Who is online and who lives: the engine of `core.gossip` with a clock and a bus.

The rules are all in the core. Here effects are carried out, in the order they come, and a timer
is kept at the moment the engine wants to be woken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from zmqchat.core import gossip as core
from zmqchat.core.journal import Journal
from zmqchat.core.members import Members, Turn
from zmqchat.core.roster import Change, Roster
from zmqchat.core.sessions import Session
from zmqchat.mesh.bus import Bus
from zmqchat.wire.mesh import Control, Header, SessionEntry, State

log = logging.getLogger(__name__)

_IN_WORDS: dict[Turn, tuple[int, str]] = {
    Turn.CAME: (logging.INFO, "%s is up"),
    Turn.BACK: (logging.INFO, "%s is back"),
    Turn.SUSPECT: (logging.INFO, "%s is silent; its users are unknown"),
    Turn.DOWN: (logging.WARNING, "%s is down"),
    Turn.LEFT: (logging.INFO, "%s left"),
    Turn.FORGOTTEN: (logging.INFO, "%s was down for long and is forgotten"),
}


class Gossip:
    """Publishes this node's log of sessions, and merges those of its peers.

    ``node`` and ``incarnation`` are those of the bus' codec. ``changed`` is called with what
    agents are to be told; ``news`` with each turn in another node's life; ``name_of`` tells how a
    node is called, for the log.
    """

    def __init__(
        self,
        bus: Bus,
        node: int,
        incarnation: int,
        *,
        rng: core.Rng,
        changed: Callable[[Change], None],
        news: Callable[[Turn, int], None],
        name_of: Callable[[int], str] = "node {}".format,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = core.Gossip(
            node,
            incarnation,
            rng,
            self._loop.time(),
            chat_oseq=lambda: bus.chat_oseq,
            state=State.JOINING,
        )
        self._bus = bus
        self._changed = changed
        self._news = news
        self._name_of = name_of
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at = 0.0
        self._stopped = False

    @property
    def state(self) -> State:
        """What this node tells of itself."""
        return self._engine.state

    @property
    def members(self) -> Members:
        """The other nodes; not to be changed."""
        return self._engine.members

    @property
    def roster(self) -> Roster:
        """The users who are not offline; not to be changed."""
        return self._engine.roster

    @property
    def journal(self) -> Journal:
        """The sessions of this node; not to be changed."""
        return self._engine.journal

    def in_step(self, node: int) -> bool:
        """Whether all is known that a node has told of its sessions."""
        return self._engine.in_step(node)

    def start(self) -> None:
        """Begin to beat."""
        self._carry_out(self._engine.on_tick(self._loop.time()))

    def opened(self) -> None:
        """Tell the cluster that this node takes sessions."""
        self._carry_out(self._engine.opened(self._loop.time()))

    def drain(self) -> None:
        """Tell the cluster that this node leaves soon."""
        self._carry_out(self._engine.drain(self._loop.time()))

    def stop(self) -> None:
        """Say goodbye and be silent."""
        self._carry_out(self._engine.leave(self._loop.time()))
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def open(self, session: Session) -> None:
        """Tell the cluster of a session that opened here."""
        entry = SessionEntry(session.number, session.user, session.agent)
        if not self._stopped:
            self._carry_out(self._engine.open(entry, self._loop.time()))

    def close(self, session: Session) -> None:
        """Tell the cluster of a session that closed here."""
        if not self._stopped:
            self._carry_out(self._engine.close(session.number, self._loop.time()))

    def on_control(self, header: Header, control: Control) -> None:
        """Take a frame of a peer."""
        if not self._stopped:
            self._carry_out(self._engine.on_frame(header, control, self._loop.time()))

    def on_link(self, node: int, *, up: bool, refused: bool = False) -> None:
        """Note that the link from a node came up or broke; ``refused``: its port is closed."""
        if not self._stopped:
            self._carry_out(self._engine.on_link(node, self._loop.time(), up=up, refused=refused))

    def on_forwarders(self, *, up: bool) -> None:
        """Note that a link to any forwarder is up, or that none is any more."""
        if not self._stopped:
            self._carry_out(self._engine.on_forwarders(self._loop.time(), up=up))

    def _wake(self) -> None:
        self._timer = None
        self._carry_out(self._engine.on_tick(self._loop.time()))

    def _carry_out(self, effects: Sequence[core.Effect]) -> None:
        for effect in effects:
            match effect:
                case core.Publish(control, to_node):
                    self._bus.publish_control(control, to_node)
                case core.Tell(change):
                    self._changed(change)
                case core.News(turn, node):
                    level, words = _IN_WORDS[turn]
                    log.log(level, words, self._name_of(node))
                    self._news(turn, node)
        self._arm()

    def tell_now(self) -> None:
        """Tell agents what was gathered, so that the list and its version stand for each other."""
        if not self._stopped:
            self._carry_out(self._engine.tell(self._loop.time()))

    def _arm(self) -> None:
        wake_at = self._engine.next_wakeup
        if self._timer is not None:
            if self._wake_at <= wake_at:
                return
            self._timer.cancel()
        self._wake_at = wake_at
        self._timer = self._loop.call_at(wake_at, self._wake)
