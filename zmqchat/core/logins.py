"""One session a user: who has to go when a newer login becomes known.

Knows the sessions of this node whose users may have one only, and compares login epochs. Must not
know who gives epochs out, how the news came, nor how a session is closed. Whatever tells of a
login may be late, doubled or lost: an epoch says it all.
Invariant: a user's session with the highest epoch known here is never told to go, and the others
are told once.
"""

from __future__ import annotations

import enum

import msgspec

from zmqchat.core.sessions import Session
from zmqchat.errors import CloseCode


class Login(msgspec.Struct, frozen=True):
    """A login of a user who may have one session."""

    user: str
    epoch: int  # from 1, given by the database, higher with each login of the user
    session: str  # which page: when it reconnects, it logs in under the same name again
    node: int  # where it logged in, by the node's number


class Farewell(enum.Enum):
    """Why a session has to go; ``code`` closes it."""

    TAKEN_OVER = CloseCode.LOGGED_IN_ELSEWHERE  # it is told first
    CONTINUED = CloseCode.NORMAL  # its own page has reconnected, and knows

    @property
    def code(self) -> CloseCode:
        """The code to close with."""
        return self.value


class SingleSessions:
    """The sessions of this node that have to be their users' only ones."""

    def __init__(self) -> None:
        self._held: dict[str, dict[Session, Login]] = {}

    @property
    def users(self) -> list[str]:
        """Who has such a session here."""
        return list(self._held)

    def add(self, session: Session, login: Login) -> list[tuple[Session, Farewell]]:
        """Note a session that has logged in; return who has to go, itself perhaps."""
        held = self._held.setdefault(login.user, {})
        held[session] = login
        return self.on_login(max(held.values(), key=lambda one: one.epoch))

    def remove(self, session: Session) -> None:
        """Forget a session, if it is known."""
        held = self._held.get(session.user, {})
        held.pop(session, None)
        if not held:
            self._held.pop(session.user, None)

    def on_login(self, newest: Login) -> list[tuple[Session, Farewell]]:
        """Take the news of a login anywhere; forget and return who has to go because of it."""
        held = self._held.get(newest.user, {})
        leaving = [
            (session, Farewell.CONTINUED if own.session == newest.session else Farewell.TAKEN_OVER)
            for session, own in held.items()
            if own.epoch < newest.epoch
        ]
        for session, _ in leaving:
            self.remove(session)
        return leaving
