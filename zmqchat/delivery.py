"""The way of one message: from a session to the store, then to peers and to every session here.

Stands between a session's events, the store and the bus, and knows them only by their ports.

- Nothing is published or acknowledged before it is committed.
- What this node stored reaches its own sessions by the same path as what its peers publish:
  through `following`, in order and once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import Histogram

from zmqchat.core.rights import Identity, check_may_read, conversation_of
from zmqchat.core.sessions import Session, Sessions
from zmqchat.errors import ErrorCode, Refused
from zmqchat.following import Following
from zmqchat.mesh.bus import Bus
from zmqchat.store.ports import Draft, Messages, Outcome, Side
from zmqchat.wire.client import (
    MarkRead,
    Send,
    encode_ack,
    encode_error,
    encode_message,
    encode_read,
)
from zmqchat.wire.mesh import Audience, Chat, ChatKind
from zmqchat.wire.websocket import text_frame

OBSERVE_EVERY = 16  # an observation costs a tenth of what a whole message does
LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Delivery:
    """Stores what sessions send, and delivers what was stored anywhere in the cluster.

    ``now`` is the event loop's clock in seconds, ``jitter_s`` draws how long a read of what is
    missing is put off; ``superseded`` is called when the store knows of a newer login than a
    session's.
    """

    def __init__(
        self,
        messages: Messages,
        bus: Bus,
        desk: str,
        *,
        now: Callable[[], float],
        superseded: Callable[[], None] = lambda: None,
        jitter_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.sessions = Sessions()
        self.delivered = 0  # events handed to sessions
        self._stored_count = 0
        self.seconds = Histogram(
            "zmqchat_delivery_seconds",
            "From taking a message to handing it to the sessions here, every 16th message",
            buckets=LATENCY_BUCKETS,
            registry=None,
        )
        self._messages = messages
        self._bus = bus
        self._desk = desk
        self._now = now
        self._superseded = superseded
        self.following = Following(
            messages, self.sessions, now=now, deliver=self._deliver, jitter_s=jitter_s
        )

    # Sessions.

    async def open(self, session: Session) -> None:
        """Let a session follow its conversation, or all of them; raise `StoreUnavailable`.

        To be awaited before the client learns that it is connected: what it then reads as history
        and what it is given from now on leave nothing out between them.
        """
        if session.agent and not self.sessions.agents:
            await self.following.prepare_for_agents()
        self.sessions.add(session)
        if session.agent:
            return
        try:
            await self.following.begin(session.user)
        except BaseException:
            self.close(session)
            raise

    def close(self, session: Session) -> None:
        """Forget a session."""
        self.sessions.remove(session)
        if not session.agent:
            self.following.end(session.user)
        elif not self.sessions.agents:
            self.following.end_all()

    def send(self, session: Session, send: Send) -> None:
        """Store a message, then deliver and acknowledge it; raise `Refused` if it may not be."""
        conversation = conversation_of(send, self._identity(session))
        draft = Draft(
            conversation=conversation,
            author=session.user,
            by_desk=session.agent,
            sender=send.sender,
            receiver=send.receiver,
            agent=session.user if session.agent else None,
            msg=send.msg,
            client_id=send.client_id,
            login_epoch=session.login_epoch,
        )
        taken_at = self._now()
        if not self._messages.append(
            draft, lambda outcome: self._stored(session, draft, taken_at, outcome)
        ):
            raise _busy(send.client_id)

    def mark_read(self, session: Session, mark: MarkRead) -> None:
        """Store a read mark, then tell everybody in the conversation."""
        check_may_read(mark.conversation, self._identity(session))
        side = Side.DESK if session.agent else Side.CUSTOMER
        reader = self._desk if session.agent else session.user

        def done(seq: int | None) -> None:
            if seq is not None:
                self._tell_read(mark.conversation, seq, reader)

        if not self._messages.mark_read(mark.conversation, side, mark.seq, done):
            raise _busy(None)

    # What comes from the store and from peers.

    def on_chat(self, chat: Chat) -> None:
        """Deliver an event of a conversation that this node or a peer has published."""
        conversation = chat.conversation
        if not self.sessions.follows(conversation):
            return
        event = text_frame(chat.body)
        if chat.kind is not ChatKind.MESSAGE:
            self.delivered += self.sessions.tell(conversation, event)
            return
        self.following.take(chat, event)

    def _stored(self, session: Session, draft: Draft, taken_at: float, outcome: Outcome) -> None:
        if isinstance(outcome, Refused):
            session.push(text_frame(encode_error(outcome)))
            if outcome.code is ErrorCode.SUPERSEDED:
                self._superseded()
            return
        message = outcome.message
        chat = Chat(
            ChatKind.MESSAGE,
            Audience.ALL,
            message.conversation,
            message.seq,
            encode_message(message),
            outcome.duplicate,
        )
        self._bus.publish_chat(chat)
        self.on_chat(chat)
        if draft.client_id is not None:
            ack = encode_ack(message, draft.client_id, duplicate=outcome.duplicate)
            session.push(text_frame(ack))
        self._stored_count += 1
        if self._stored_count % OBSERVE_EVERY == 0:
            self.seconds.observe(self._now() - taken_at)

    def _tell_read(self, conversation: str, seq: int, reader: str) -> None:
        chat = Chat(
            ChatKind.READ, Audience.ALL, conversation, seq, encode_read(conversation, seq, reader)
        )
        self._bus.publish_chat(chat)
        self.on_chat(chat)

    def _deliver(self, conversation: str, events: Sequence[bytes]) -> None:
        for event in events:
            self.delivered += self.sessions.deliver(conversation, event)

    def _identity(self, session: Session) -> Identity:
        return Identity(session.user, session.agent, self._desk)


def _busy(client_id: str | None) -> Refused:
    return Refused(ErrorCode.BUSY, "too many writes wait; try again", client_id)
