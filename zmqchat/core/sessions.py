"""Who is here: the open sessions of this node.

Knows users, roles and conversations. Must not know sockets: a session's outbox is filled here and
emptied by whoever was told that there is something in it.
Invariant: a session stands in exactly one place, with the agents or with its customer. While it
catches up with a conversation it is given no live message of it, only told that there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from zmqchat.core.outbox import Outbox
from zmqchat.errors import CloseCode


class Session:
    """One WebSocket of one user on this node.

    ``wake`` is called when the outbox gets its first event. When an event does not fit, ``drain``
    is to write what waits if the client takes it. ``end`` closes the connection: with ``TOO_SLOW``
    if the event still does not fit, and then nothing of the outbox is worth writing any more.
    """

    __slots__ = (
        "agent",
        "behind",
        "drain",
        "end",
        "login_epoch",
        "number",
        "outbox",
        "user",
        "v1",
        "wake",
    )

    def __init__(
        self,
        number: int,
        user: str,
        *,
        agent: bool,
        v1: bool,
        wake: Callable[[], None],
        drain: Callable[[], None],
        end: Callable[[CloseCode], None],
    ) -> None:
        self.number = number  # counts up on this node
        self.user = user
        self.agent = agent
        self.v1 = v1  # asked for zmqchat.v1
        self.outbox = Outbox()
        self.wake = wake
        self.drain = drain
        self.end = end
        self.login_epoch: int | None = None  # where the user may have one session
        # Conversations whose missed messages are being sent -> whether a live one came meanwhile.
        self.behind: dict[str, bool] = {}

    def push(self, event: bytes) -> None:
        """Queue an encoded event for this session alone."""
        outbox = self.outbox
        if not outbox.push(event):
            self.drain()
            if not outbox.push(event):
                self.end(CloseCode.TOO_SLOW)
                return
        if len(outbox) == 1:
            self.wake()


class Sessions:
    """All sessions of this node, found by the conversation they follow."""

    def __init__(self) -> None:
        self._customers: dict[str, list[Session]] = {}
        self._agents: list[Session] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def agents(self) -> Collection[Session]:
        """The sessions that see every conversation."""
        return self._agents

    def add(self, session: Session) -> None:
        """Note an opened session."""
        self._place(session).append(session)
        self._count += 1

    def remove(self, session: Session) -> None:
        """Note that a session is closed; it must have been added."""
        self._place(session).remove(session)
        self._count -= 1
        if not session.agent and not self._customers[session.user]:
            del self._customers[session.user]

    def has_customer(self, conversation: str) -> bool:
        """Whether the conversation's customer has a session here."""
        return conversation in self._customers

    def follows(self, conversation: str) -> bool:
        """Whether anybody here wants a conversation's events."""
        return bool(self._agents) or conversation in self._customers

    def deliver(self, conversation: str, event: bytes) -> int:
        """Push a stored message to everybody it is for; return to how many it is."""
        receivers = self._receivers(conversation)
        for session in receivers:
            if session.behind and conversation in session.behind:
                session.behind[conversation] = True  # it is read from the store, in its turn
            else:
                session.push(event)
        return len(receivers)

    def tell(self, conversation: str, event: bytes) -> int:
        """Push an event that is no message, and so has no turn; return to how many."""
        receivers = self._receivers(conversation)
        for session in receivers:
            session.push(event)
        return len(receivers)

    def _receivers(self, conversation: str) -> list[Session]:
        # Copies, because a session that overflows is removed from the list while it is walked.
        return [*self._agents, *self._customers.get(conversation, ())]

    def _place(self, session: Session) -> list[Session]:
        if session.agent:
            return self._agents
        return self._customers.setdefault(session.user, [])
