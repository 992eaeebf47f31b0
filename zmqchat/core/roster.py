"""What agents are told of who is online: users, the doubt about them, and changes, netted.

Knows customers, how sure their sessions are, and the time it is told. Must not know nodes or
sessions: whoever moves a user says whether it is sure that the session is there.

- A user with a sure session is online, one with unsure sessions only is unknown, and one without
  any stays as it was for a linger, so that a page that loads anew makes no noise. Then it is
  offline.
- While lingers are held nobody goes offline: where everything is unsure, who knows where a user
  is now? Whoever would have is unknown until then.

Invariant: the changes taken, applied in order to the list as it was, give the list as it is;
somebody who came and went in between is in none.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from zmqchat.core.deadlines import Deadlines

LINGER_S = 5.0
RETURN_LINGER_S = 0.5  # we were away for longer than users linger, and know all there is again
LONG_LINGER_S = 30.0  # its node was draining: it has been told to go elsewhere


class Shown(enum.Enum):
    """What a user is shown as."""

    OFFLINE = "offline"
    ONLINE = "online"
    UNKNOWN = "unknown"


class Sure(enum.IntEnum):
    """How sure a session is: an index of the counts of a user."""

    YES = 0
    NO = 1  # its node is suspect


class Change(NamedTuple):
    """What changed since the last change; ``version`` counts the changes on this node."""

    opened: list[str]  # now online, whether they were offline or unknown
    closed: list[str]  # now offline
    unknown: list[str]
    version: int
    listed: bool  # whether anybody came to, or left, those who are not offline


class Roster:
    """The users of the cluster who are not offline, and what of it has not been told."""

    def __init__(self) -> None:
        self.version = 0
        self._shown: dict[str, Shown] = {}
        self._counts: dict[str, list[int]] = {}  # sessions, by `Sure`
        self._lingers: dict[str, float] = {}  # who has no session -> until when it stays
        self._deadlines: Deadlines[str] = Deadlines()
        self._held: dict[str, None] = {}  # whose linger is over, but nobody goes now
        self._told: dict[str, Shown] = {}  # what those were told as that may have changed

    @property
    def users(self) -> Mapping[str, Shown]:
        """All who are not offline, in the order they came; not to be changed."""
        return self._shown

    @property
    def next(self) -> float:
        """When to call `expire`."""
        return self._deadlines.next

    @property
    def changed(self) -> bool:
        """Whether there may be something to take."""
        return bool(self._told)

    def move(
        self,
        users: Iterable[str],
        now: float,
        was: Sure | None,
        becomes: Sure | None,
        linger_s: float = LINGER_S,
    ) -> None:
        """Move a session of each user: None is where a session is that is not there."""
        for user in users:
            counts = self._counts.setdefault(user, [0, 0])
            if was is not None:
                counts[was] -= 1
            if becomes is not None:
                counts[becomes] += 1
            self._settle(user, counts, now + linger_s)

    def _settle(self, user: str, counts: list[int], stays_until: float) -> None:
        if counts[Sure.YES]:
            self._stay(user, Shown.ONLINE)
        elif counts[Sure.NO]:
            self._stay(user, Shown.UNKNOWN)
        else:
            del self._counts[user]
            if user in self._shown:
                self._lingers[user] = stays_until
                self._deadlines.add(user, stays_until)

    def _stay(self, user: str, shown: Shown) -> None:
        self._lingers.pop(user, None)
        self._held.pop(user, None)
        self._show(user, shown)

    def _show(self, user: str, shown: Shown) -> None:
        before = self._shown.get(user, Shown.OFFLINE)
        if before is shown:
            return
        self._told.setdefault(user, before)
        if shown is Shown.OFFLINE:
            del self._shown[user]
        else:
            self._shown[user] = shown

    def expire(self, now: float, *, hold: bool) -> None:
        """Let those go whose linger is over, or hold them."""
        for user in self._deadlines.due(now):
            until = self._lingers.get(user, math.inf)
            if until > now:
                if until < math.inf:
                    self._deadlines.add(user, until)
            elif hold:
                self._held[user] = None
                self._show(user, Shown.UNKNOWN)
            else:
                del self._lingers[user]
                self._show(user, Shown.OFFLINE)

    def release(self, now: float, linger_s: float = LINGER_S) -> None:
        """Hold nobody any more, and let all who linger begin anew."""
        self._held.clear()
        for user, until in self._lingers.items():
            self._lingers[user] = max(until, now + linger_s)
            self._deadlines.add(user, self._lingers[user])

    def take(self) -> Change | None:
        """Return what changed since the last call, or None if it came to nothing."""
        told, self._told = self._told, {}
        lists: dict[Shown, list[str]] = {shown: [] for shown in Shown}
        listed = False
        for user, before in told.items():
            shown = self._shown.get(user, Shown.OFFLINE)
            if shown is not before:
                lists[shown].append(user)
                listed = listed or Shown.OFFLINE in (shown, before)
        if not any(lists.values()):
            return None
        self.version += 1
        return Change(
            lists[Shown.ONLINE],
            lists[Shown.OFFLINE],
            lists[Shown.UNKNOWN],
            self.version,
            listed,
        )
