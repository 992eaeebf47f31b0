"""The way of one message: from a session to the store, then to peers and to every session here.

Stands between a session's events, the store and the bus, and knows them only by their ports.

- Nothing is published or acknowledged before it is committed.
- What this node stored reaches its own sessions by the same path as what its peers publish:
  through `core.sequence`, in order and once.
- Everything runs in the event loop; reads of the store are tasks of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from prometheus_client import Histogram

from zmqchat.core.rights import Identity, check_may_read, conversation_of
from zmqchat.core.sequence import REORDER_WINDOW_S, Gap, Sequences
from zmqchat.core.sessions import Session, Sessions
from zmqchat.errors import ErrorCode, Refused, StoreUnavailable
from zmqchat.mesh.bus import Bus
from zmqchat.names import name_problem
from zmqchat.store.ports import Draft, Messages, Outcome, Side
from zmqchat.tasks import Tasks
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

log = logging.getLogger(__name__)

READS_AT_ONCE = 8  # ranged reads for gaps; an outage of a link leaves one in every conversation
RETRY_READ_S = 1.0
OPEN_TIMEOUT_S = 5.0  # a client that cannot be served is told so, and tries another node
OBSERVE_EVERY = 16  # an observation costs a tenth of what a whole message does
LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Delivery:
    """Stores what sessions send, and delivers what was stored anywhere in the cluster.

    ``now`` is the event loop's clock in seconds, ``wall_ms`` milliseconds since 1970;
    ``superseded`` is called when the store knows of a newer login than a session's.
    """

    def __init__(
        self,
        messages: Messages,
        bus: Bus,
        desk: str,
        *,
        now: Callable[[], float],
        wall_ms: Callable[[], int],
        superseded: Callable[[], None] = lambda: None,
    ) -> None:
        self.sessions = Sessions()
        self.delivered = 0  # events handed to sessions
        self.gap_reads = 0
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
        self._wall_ms = wall_ms
        self._superseded = superseded
        self._sequences: Sequences[bytes] = Sequences()
        self._agents_since_ms = 0
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._tasks = Tasks()
        self._starts: dict[str, asyncio.Task[None]] = {}  # whose start is being looked up
        self._lowest_heard: dict[str, int] = {}  # of those, the lowest fresh seq so far

    # Sessions.

    async def open(self, session: Session) -> None:
        """Let a session follow its conversation, or all of them; raise `StoreUnavailable`.

        To be awaited before the client learns that it is connected: what it then reads as history
        and what it is given from now on leave nothing out between them.
        """
        if session.agent and not self.sessions.agents:
            self._agents_since_ms = self._wall_ms()
        self.sessions.add(session)
        if session.agent or self._sequences.has_started(session.user):
            return
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await asyncio.shield(self._follow(session.user))
        except TimeoutError:
            self.close(session)
            raise StoreUnavailable("the database does not tell where the chat stands") from None
        except BaseException:
            self.close(session)
            raise

    def close(self, session: Session) -> None:
        """Forget a session."""
        self.sessions.remove(session)
        if not session.agent and not self.sessions.follows(session.user):
            self._sequences.forget(session.user)
        elif session.agent and not self.sessions.agents:
            for conversation in self._sequences.conversations():
                if not self.sessions.has_customer(conversation):
                    self._sequences.forget(conversation)

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

    async def close_all(self) -> None:
        """End the reads that still run."""
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.cancel()

    # What comes from the store and from peers.

    def on_chat(self, chat: Chat) -> None:
        """Deliver an event of a conversation that this node or a peer has published."""
        conversation = chat.conversation
        if not self.sessions.follows(conversation):
            return
        event = text_frame(chat.body)
        if chat.kind is not ChatKind.MESSAGE:
            self._deliver(conversation, (event,))
            return
        sequences = self._sequences
        if not sequences.has_started(conversation) and not self._begin(chat):
            return
        ready = sequences.offer(conversation, chat.seq, event, self._now())
        self._deliver(conversation, ready)
        if len(ready) != 1:
            self._arm()

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

    # Where a conversation begins, and what is missing of it.

    def _begin(self, chat: Chat) -> bool:
        """Find out where a conversation starts for us; False if nothing can be made of the frame.

        A message that is published again may be old, or one whose first frame was lost: only the
        store can tell, so unlike a fresh one it gives no place to start from.
        """
        conversation = chat.conversation
        if conversation not in self._sequences:
            if name_problem(conversation) is not None:
                return False
            if chat.seq == 1 and not chat.republished:
                self._sequences.start(conversation, 0, self._now())
                return True
        self._follow(conversation)
        if not chat.republished:
            lowest = self._lowest_heard.get(conversation, chat.seq)
            self._lowest_heard[conversation] = min(lowest, chat.seq)
        return True

    def _follow(self, conversation: str) -> asyncio.Task[None]:
        """Track a conversation; the task ends when its start is known."""
        self._sequences.expect(conversation)
        task = self._starts.get(conversation)
        if task is None:
            task = self._tasks.spawn(self._find_start(conversation))
            self._starts[conversation] = task
        return task

    async def _find_start(self, conversation: str) -> None:
        """Start above the head; for agents above what was stored before the first of them came."""
        # Decided before the answer is awaited: whoever comes meanwhile reads the history later.
        before_ms = self._agents_since_ms if self.sessions.agents else None
        try:
            head = await self._head(conversation, before_ms)
        finally:
            del self._starts[conversation]
            lowest = self._lowest_heard.pop(conversation, None)
        if conversation not in self._sequences:
            return
        if before_ms is not None and lowest is not None:
            # Stamped before the first agent came but committed, and heard, after: it is theirs.
            head = min(head, lowest - 1)
        self._deliver(conversation, self._sequences.start(conversation, head, self._now()))
        self._arm()

    async def _head(self, conversation: str, before_ms: int | None) -> int:
        while True:
            try:
                async with self._reads:
                    return await self._messages.head(conversation, before_ms)
            except StoreUnavailable as error:
                log.warning("cannot read the head of %r yet: %s", conversation, error)
                await asyncio.sleep(RETRY_READ_S)

    def _arm(self) -> None:
        """Wake up when the next gap is due."""
        if self._timer is not None:
            # A new hole is due a whole window from now: most often the timer comes before that.
            if self._timer_due <= self._now() + REORDER_WINDOW_S:
                return
            self._timer.cancel()
            self._timer = None
        if (due := self._sequences.next_due()) is not None:
            self._timer_due = due
            self._timer = asyncio.get_running_loop().call_at(due, self._read_gaps)

    def _read_gaps(self) -> None:
        self._timer = None
        for gap in self._sequences.gaps(self._now()):
            self._tasks.spawn(self._read_gap(gap))
        self._arm()

    async def _read_gap(self, gap: Gap) -> None:
        self.gap_reads += 1
        try:
            async with self._reads:
                messages = await self._messages.between(*gap)
                # If the end is not there, somebody told of more than there is.
                whole = bool(messages) and messages[-1].seq == gap.last
                head = None if whole else await self._messages.head(gap.conversation)
        except StoreUnavailable as error:
            log.warning("cannot read %s yet: %s", gap, error)
            self._sequences.retry(gap, self._now() + RETRY_READ_S)
        else:
            found = [(message.seq, text_frame(encode_message(message))) for message in messages]
            ready = self._sequences.fill(gap, found, self._now(), head)
            self._deliver(gap.conversation, ready)
        self._arm()

    def _identity(self, session: Session) -> Identity:
        return Identity(session.user, session.agent, self._desk)


def _busy(client_id: str | None) -> Refused:
    return Refused(ErrorCode.BUSY, "too many writes wait; try again", client_id)
