"""What must never be, looked at whenever something changes.

- The version known of a life's log never goes back, and what is known at a version is what the
  origin's sessions were then.
- Nobody keeps a session of a life that is over.
- The changes that agents are told add up to the list, and nobody in them comes twice.
- Nobody is told offline who has had a session all the time, on a node that is alive to the teller.
"""

from __future__ import annotations

import functools

from scripts.simulation.world import Host, Watcher, World
from zmqchat.core.gossip import News, Tell
from zmqchat.core.journal import session_hash
from zmqchat.core.members import Life, Turn
from zmqchat.core.roster import LINGER_S, Shown
from zmqchat.wire.mesh import SessionEntry

SETTLED_S = LINGER_S  # a session younger than that may not have been heard of


class Checks(Watcher):
    """Looks on a world, and fails it; counts the deaths that were none."""

    def __init__(self, world: World) -> None:
        self.false_deaths = 0
        self.deaths = 0
        self._world = world
        self._truth: dict[tuple[int, int], list[int]] = {}  # (node, incarnation) -> hash by version
        self._opened: dict[int, float] = {}  # session -> when it opened
        self._homes: dict[str, dict[int, Host]] = {}  # user -> its sessions
        self._versions: dict[
            tuple[int, int], tuple[int, int]
        ] = {}  # (viewer, node) -> inc, version
        self._shown: dict[int, dict[str, Shown]] = {}  # viewer -> as its agents were told
        for host in world.hosts.values():
            self.on_start(host)
        world.watchers.append(self)

    def on_start(self, host: Host) -> None:
        """Begin a life's truth, and a viewer with an empty list."""
        self._truth[host.number, host.engine.incarnation] = [0]
        self._shown[host.number] = {}
        self._versions = {key: at for key, at in self._versions.items() if key[0] != host.number}

    def on_own(self, host: Host, session: int, user: str, *, opened: bool) -> None:
        """Keep the truth."""
        truth = self._truth[host.number, host.engine.incarnation]
        truth.append(truth[-1] ^ _hash(session, user))
        homes = self._homes.setdefault(user, {})
        if opened:
            homes[session] = host
            self._opened[session] = self._world.now
        else:
            del homes[session]

    def on_log(self, host: Host, node: int) -> None:
        """Compare what a viewer knows of a node's log with the truth at that version."""
        member = host.engine.members.get(node)
        if member is None:
            self._no_sessions(host, node)
            return
        version, known_hash = host.engine.presence.version(node)
        truth = self._truth[node, member.incarnation]
        where = f"{host.number} knows version {version} of {node}"
        if version >= len(truth):
            self._world.fail(f"{where}, which is at {len(truth) - 1}")
        sessions = host.engine.presence.sessions(node)
        content = functools.reduce(int.__xor__, map(session_hash, sessions), 0)
        if not truth[version] == known_hash == content:
            self._world.fail(f"{where} with other sessions than were there")
        before = self._versions.get((host.number, node), (0, 0))
        if (member.incarnation, version) < before:
            self._world.fail(f"{where} after {before}")
        self._versions[host.number, node] = member.incarnation, version

    def on_news(self, host: Host, news: News) -> None:
        """Count deaths, and see that nothing is left of lives that are over."""
        if news.turn is Turn.DOWN:
            dead = self._world.hosts[news.node]
            self.deaths += 1
            self.false_deaths += dead.running and dead.listens
        elif news.turn in (Turn.LEFT, Turn.FORGOTTEN):
            self._no_sessions(host, news.node)

    def on_tell(self, host: Host, tell: Tell) -> None:
        """Play a change back."""
        change, shown = tell.change, self._shown[host.number]
        new = {
            **dict.fromkeys(change.opened, Shown.ONLINE),
            **dict.fromkeys(change.closed, Shown.OFFLINE),
            **dict.fromkeys(change.unknown, Shown.UNKNOWN),
        }
        if len(new) != len(change.opened) + len(change.closed) + len(change.unknown):
            self._world.fail(f"{host.number} tells somebody twice")
        for user, state in new.items():
            if shown.get(user, Shown.OFFLINE) is state:
                self._world.fail(f"{host.number} tells {user} {state.value} again")
            shown[user] = state
            if state is Shown.OFFLINE:
                del shown[user]
                self._may_be_offline(host, user)
        if shown != host.engine.roster.users:
            self._world.fail(f"{host.number} tells another list than it keeps")

    def _may_be_offline(self, host: Host, user: str) -> None:
        for session, home in self._homes.get(user, {}).items():
            if self._world.now - self._opened[session] < SETTLED_S:
                continue
            if home is host:
                self._world.fail(f"{host.number} tells {user} offline, whom it serves")
            member = host.engine.members.get(home.number)
            if (
                member is not None
                and member.life is Life.ALIVE
                and member.incarnation == home.engine.incarnation
                and host.engine.repair.target(home.number) is None
            ):
                self._world.fail(f"{host.number} tells {user} offline, who is on {home.number}")

    def _no_sessions(self, host: Host, node: int) -> None:
        if host.engine.presence.sessions(node):
            self._world.fail(f"{host.number} keeps sessions of {node}, whose life is over")


def disagreement(world: World) -> str | None:
    """Tell where the views of the nodes differ from the truth, if they do anywhere."""
    running = [host for host in world.hosts.values() if host.running]
    online = {user for host in running for user in host.sessions.values()}
    for viewer in running:
        for host in running:
            if host is viewer:
                continue
            member = viewer.engine.members.get(host.number)
            if member is None or member.life is not Life.ALIVE:
                return f"{host.number} is not alive to {viewer.number}"
            journal = host.engine.journal
            if viewer.engine.presence.version(host.number) != (journal.version, journal.hash):
                return f"{viewer.number} does not know the log of {host.number}"
        shown = viewer.engine.roster.users
        if missing := sorted(online - {u for u, s in shown.items() if s is Shown.ONLINE}):
            return f"{missing[0]} is not online to {viewer.number}"
    return None


@functools.lru_cache(maxsize=65536)
def _hash(session: int, user: str) -> int:
    return session_hash(SessionEntry(session, user, agent=False))
