"""Who may write to whom, and as whom.

Knows users, their role and the desk's account. The rules, as a table:

    who        sender must be     receiver must be     conversation
    customer   the customer       the desk             the customer
    agent      the desk           any customer         the receiver

A customer may read, and mark as read, only the own conversation, an agent any; only an agent may
ask what became of all of them.
"""

from __future__ import annotations

from typing import NamedTuple

from zmqchat.errors import ErrorCode, Refused
from zmqchat.names import MAX_NAME_CHARS, check_name
from zmqchat.wire.client import Send


class Identity(NamedTuple):
    """Who speaks in a session."""

    user: str
    agent: bool
    desk: str  # the account that customers write to

    @property
    def speaks_as(self) -> str:
        """The only name this user may write under."""
        return self.desk if self.agent else self.user


def conversation_of(send: Send, identity: Identity) -> str:
    """Return the conversation a message belongs to, or raise `Refused` with ``forbidden``."""
    if send.sender != identity.speaks_as:
        raise Refused(
            ErrorCode.FORBIDDEN,
            f"sender must be {identity.speaks_as!r}, got {_shown(send.sender)}",
            send.client_id,
        )
    if not identity.agent:
        if send.receiver != identity.desk:
            raise Refused(
                ErrorCode.FORBIDDEN,
                f"a customer writes to {identity.desk!r}, not to {_shown(send.receiver)}",
                send.client_id,
            )
        return identity.user
    if send.receiver == identity.desk:
        raise Refused(ErrorCode.FORBIDDEN, "the desk cannot write to itself", send.client_id)
    return check_name(send.receiver, "receiver")


def _shown(name: str) -> str:
    """Quote a name that may be none, at any length."""
    return repr(name[:MAX_NAME_CHARS])


def check_may_read(conversation: str, identity: Identity) -> None:
    """Raise `Refused` with ``forbidden`` unless the user takes part in a conversation."""
    if not identity.agent and conversation != identity.user:
        raise Refused(ErrorCode.FORBIDDEN, f"{identity.user!r} has no part in {conversation!r}")


def check_is_agent(identity: Identity) -> None:
    """Raise `Refused` with ``forbidden`` unless the user may see all conversations."""
    if not identity.agent:
        raise Refused(ErrorCode.FORBIDDEN, f"{identity.user!r} may ask for the own conversation")
