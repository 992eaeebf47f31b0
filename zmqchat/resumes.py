"""What a client has missed: sent from the store, in pages, as fast as the client takes it.

- While a conversation is being resumed its live messages are not pushed to this session but noted,
  and what is noted is read from the store in its turn. So the client gets each seq in order,
  without a hole between what it missed and what is live from then on.
- A page is queued when the client has taken most of what waited for it: neither what is missing
  nor what is live meanwhile can overflow the outbox.
- One resume at a time for a session, the others wait in a bounded queue, and a few reads at a time
  for the node: a thousand clients that come back from a dead node do not block the others' reads.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Sequence

from zmqchat.core.outbox import PAGE_BYTES, PAGE_EVENTS, Outbox
from zmqchat.core.rights import Identity, check_is_agent, check_may_read
from zmqchat.core.sessions import Session
from zmqchat.errors import ErrorCode, Refused, StoreUnavailable
from zmqchat.store.ports import ConversationState, Messages
from zmqchat.tasks import Tasks
from zmqchat.wire.client import (
    Head,
    Message,
    Resume,
    ResumeHeads,
    encode_message,
    encode_resumed,
    encode_resumed_heads,
    iso_time,
)
from zmqchat.wire.websocket import text_frame

log = logging.getLogger(__name__)

MOST_MISSED = (
    500  # messages; whoever misses more loads the newest, and the others when they are read
)
MOST_HEADS = 1000
MOST_QUEUED = 100  # resumes that wait in one session
READS_AT_ONCE = 2  # of the threads that read for everybody
LOOK_BACK_MS = 10_000  # a message is seen some time after it was stamped
FIRST_READ = 16  # messages; from then on by how many made the last page

_HEADS = ""  # stands in a queue for all conversations; no conversation has this name


class Resumes:
    """Answers RESUME for the sessions of a node."""

    def __init__(self, messages: Messages, desk: str) -> None:
        self.answers: collections.Counter[str] = collections.Counter()  # by how whole they were
        self._messages = messages
        self._desk = desk
        self._queues: dict[Session, dict[str, int]] = {}  # what each session waits for, by name
        self._workers: dict[Session, asyncio.Task[None]] = {}
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._tasks = Tasks()

    def ask(self, session: Session, wish: Resume | ResumeHeads) -> None:
        """Queue what a client asks for; raise `Refused` if it may not, or asks for too much.

        Asking again for what still waits is one resume, from the lower point of both.
        """
        name, since = self._checked(session, wish)
        queue = self._queues.setdefault(session, {})
        if name not in queue and len(queue) >= MOST_QUEUED:
            raise Refused(
                ErrorCode.BUSY, f"{MOST_QUEUED} conversations wait to be resumed; try again"
            )
        queue[name] = min(queue.get(name, since), since)
        if session not in self._workers:
            self._workers[session] = self._tasks.spawn(self._work(session, queue))

    def close(self, session: Session) -> None:
        """Forget a session that is closed."""
        self._queues.pop(session, None)
        if (worker := self._workers.pop(session, None)) is not None:
            worker.cancel()

    async def close_all(self) -> None:
        """End the resumes that still run: their clients ask the next node."""
        await self._tasks.cancel()

    def _checked(self, session: Session, wish: Resume | ResumeHeads) -> tuple[str, int]:
        identity = Identity(session.user, session.agent, self._desk)
        if isinstance(wish, ResumeHeads):
            check_is_agent(identity)
            return _HEADS, wish.since
        check_may_read(wish.conversation, identity)
        return wish.conversation, wish.after

    async def _work(self, session: Session, queue: dict[str, int]) -> None:
        try:
            while queue:
                name = next(iter(queue))
                since = queue.pop(name)
                if name == _HEADS:
                    await self._resume_heads(session, since)
                else:
                    await self._resume(session, name, since)
        finally:
            self._queues.pop(session, None)
            self._workers.pop(session, None)

    # One conversation.

    async def _resume(self, session: Session, conversation: str, after: int) -> None:
        catching_up = CatchingUp(self._messages, self._reads, session, conversation, after)
        try:
            complete = await catching_up.run()
        except StoreUnavailable as error:
            log.warning("cannot resume %r for %s: %s", conversation, session.user, error)
            complete = False
        finally:
            del session.behind[conversation]  # the next live message is pushed again
        answer = encode_resumed(conversation, catching_up.up_to, complete=complete)
        self._answer(session, answer, complete=complete)

    # All conversations.

    async def _resume_heads(self, session: Session, since_ms: int) -> None:
        time_ms, states = since_ms, None
        try:
            async with self._reads:
                now_ms = await self._messages.time_ms()  # first: what comes now is told next time
                earliest_ms = max(0, since_ms - LOOK_BACK_MS)
                found = await self._messages.changed(earliest_ms, MOST_HEADS + 1)
        except StoreUnavailable as error:
            log.warning("cannot read what changed for %s: %s", session.user, error)
        else:
            time_ms, states = now_ms, found if len(found) <= MOST_HEADS else None
        heads = [] if states is None else [_head_of(state) for state in states]
        complete = states is not None
        answer = encode_resumed_heads(heads, time_ms, complete=complete)
        await room_in(session.outbox)
        self._answer(session, answer, complete=complete)

    def _answer(self, session: Session, answer: bytes, *, complete: bool) -> None:
        self.answers["complete" if complete else "incomplete"] += 1
        session.push(text_frame(answer))


class CatchingUp:
    """Sends one session all messages of a conversation that follow ``up_to``."""

    def __init__(
        self,
        messages: Messages,
        reads: asyncio.Semaphore,
        session: Session,
        conversation: str,
        after: int,
    ) -> None:
        self.up_to = after  # the client has, or has been sent, all there is up to here
        self._messages = messages
        self._reads = reads
        self._session = session
        self._conversation = conversation
        self._next_read = FIRST_READ

    async def run(self) -> bool:
        """Send pages until nothing is missing; False if that is more than is worth sending.

        Live messages are held back from the first moment, and may be pushed again in the moment
        this returns. Raise `StoreUnavailable`.
        """
        behind = self._session.behind
        behind[self._conversation] = True
        while behind[self._conversation]:
            # Put down before the head is read: what is live from now on may be above it.
            behind[self._conversation] = False
            async with self._reads:
                head = await self._messages.head(self._conversation)
            if not 0 <= head - self.up_to <= MOST_MISSED:
                return False  # or the client has more than there is, of another database
            while self.up_to < head:
                await self._send_page(head)
        return True

    async def _send_page(self, head: int) -> None:
        first, last = self.up_to + 1, min(head, self.up_to + self._next_read)
        async with self._reads:
            messages = await self._messages.between(self._conversation, first, last)
        page = page_of(messages)
        if len(page) < len(messages):
            # The others are read again: a client that takes its time costs no more than a page.
            last = messages[len(page) - 1].seq
            self._next_read = len(page)
        self._next_read = min(2 * self._next_read, PAGE_EVENTS)
        del messages
        await room_in(self._session.outbox)
        for event in page:
            self._session.push(event)
        self.up_to = last


def page_of(messages: Sequence[Message]) -> list[bytes]:
    """Encode as many of the first messages as make a page: at least one, if there is any."""
    page: list[bytes] = []
    size = 0
    for message in messages[:PAGE_EVENTS]:
        event = text_frame(encode_message(message))
        size += len(event)
        if page and size > PAGE_BYTES:
            break
        page.append(event)
    return page


async def room_in(outbox: Outbox) -> None:
    """Wait until a page may be queued; one task at a time may wait for an outbox."""
    while not outbox.has_room():
        taken = asyncio.Event()
        outbox.on_taken = taken.set
        await taken.wait()


def _head_of(state: ConversationState) -> Head:
    return Head(
        conversation=state.conversation,
        seq=state.last_seq,
        customer_read=state.customer_read_seq,
        desk_read=state.desk_read_seq,
        updated_at=iso_time(state.updated_at_ms),
    )
