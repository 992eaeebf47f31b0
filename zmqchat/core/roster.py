"""What agents are told of who is online: changes, gathered and netted.

Knows customers' names and a version of its own. Must not know sessions, nodes or time: who calls
`take` decides how long changes are gathered.
Invariant: the changes taken, applied in order to the list as it was, give the list as it is;
somebody who came and went in between is in none.
"""

from __future__ import annotations

from typing import NamedTuple

from zmqchat.core.presence import Diff


class Change(NamedTuple):
    """Who came and who went since the last change; ``version`` counts them on this node."""

    opened: list[str]
    closed: list[str]
    version: int


class Roster:
    """Gathers differences until they are taken."""

    def __init__(self) -> None:
        self.version = 0
        self._pending: dict[str, bool] = {}  # user -> came (True) or went

    def add(self, diff: Diff) -> bool:
        """Gather a difference; True if there is anything to tell."""
        for users, came in ((diff.left, False), (diff.joined, True)):
            for user in users:
                # A user can only alternate: the opposite of what is pending cancels it.
                if self._pending.pop(user, came) is came:
                    self._pending[user] = came
        return bool(self._pending)

    def take(self) -> Change | None:
        """Return what was gathered, or None if it came to nothing."""
        if not self._pending:
            return None
        self.version += 1
        pending, self._pending = self._pending, {}
        opened = [user for user, came in pending.items() if came]
        closed = [user for user, came in pending.items() if not came]
        return Change(opened, closed, self.version)
