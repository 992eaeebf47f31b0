"""Which conversations are followed on this node, from which seq on, and what is missing of them.

`core.sequence` has the rules; here is the store that it is asked for, and the clock.

- A conversation is followed while its customer, or any agent, has a session here. A customer's
  begins above the head as it stands when the session opens, so that history and what comes from
  then on leave nothing out between them; for agents all begin above what was stored before the
  first of them came.
- A hole is read from the store when it is older than the reorder window: one read at a time for a
  conversation, `READS_AT_ONCE` for the node.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from zmqchat.core.sequence import REORDER_WINDOW_S, Gap, Sequences
from zmqchat.core.sessions import Sessions
from zmqchat.errors import StoreUnavailable
from zmqchat.names import name_problem
from zmqchat.store.ports import ConversationState, Messages
from zmqchat.tasks import Tasks
from zmqchat.wire.client import encode_message
from zmqchat.wire.mesh import Chat
from zmqchat.wire.websocket import text_frame

log = logging.getLogger(__name__)

READS_AT_ONCE = 8  # an outage of a link leaves a hole in every conversation
RETRY_READ_S = 1.0
BYTES_AT_ONCE = 256 * 1024  # of what was missing: a quarter of the outboxes it goes to
OPEN_TIMEOUT_S = 5.0  # a client that cannot be served is told so, and tries another node

_Result = TypeVar("_Result")


class Following:
    """Puts the messages of each conversation in order, and reads what does not come.

    ``deliver`` gets a conversation and encoded events that are due, oldest first. ``now`` is the
    event loop's clock in seconds; ``jitter_s`` draws how long a read is put off, since a link that
    breaks leaves holes in many nodes at once.
    """

    def __init__(
        self,
        messages: Messages,
        sessions: Sessions,
        *,
        now: Callable[[], float],
        deliver: Callable[[str, Sequence[bytes]], None],
        jitter_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.gap_reads = 0
        self.found = 0  # messages that were read from the store because they did not come
        self._messages = messages
        self._sessions = sessions
        self._now = now
        self._deliver = deliver
        self._jitter_s = jitter_s
        self._sequences: Sequences[bytes] = Sequences()
        self._agents_since_ms = 0  # since when agents are given everything, by the store's clock
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._tasks = Tasks()
        self._starts: dict[str, asyncio.Task[None]] = {}  # whose start is being looked up
        self._lowest_heard: dict[str, int] = {}  # of those, the lowest fresh seq so far

    def __len__(self) -> int:
        return len(self._sequences)

    @property
    def idle(self) -> bool:
        """Whether nobody here wants anything."""
        return not len(self._sessions)

    def begun_ms(self, now_ms: int) -> int:
        """From when on conversations of which nothing was heard yet may be wanted here.

        Customers' begin at their heads; only agents want what was written since they came.
        """
        return self._agents_since_ms if self._sessions.agents else now_ms

    # Who follows.

    async def prepare_for_agents(self) -> None:
        """Note from when on agents are given everything; raise `StoreUnavailable`."""
        now_ms = await self._in_time(self._messages.time_ms())
        if not self._sessions.agents:  # still none
            self._agents_since_ms = now_ms

    async def begin(self, conversation: str) -> None:
        """Follow a conversation from its head on; raise `StoreUnavailable`."""
        if not self._sequences.has_started(conversation):
            await self._in_time(asyncio.shield(self._follow(conversation)))

    async def _in_time(self, reading: Awaitable[_Result]) -> _Result:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                return await reading
        except TimeoutError:
            raise StoreUnavailable("the database does not tell where the chat stands") from None

    def end(self, conversation: str) -> None:
        """Stop following a conversation if nobody here wants it any more."""
        if not self._sessions.follows(conversation):
            self._sequences.forget(conversation)

    def end_all(self) -> None:
        """Stop following every conversation that nobody here wants any more."""
        for conversation in self._sequences.conversations():
            self.end(conversation)

    def conversations(self) -> list[str]:
        """Return the conversations that are followed."""
        return self._sequences.conversations()

    async def close(self) -> None:
        """End the reads that still run."""
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.cancel()

    # What is heard.

    def take(self, chat: Chat, event: bytes) -> None:
        """Take a message that somebody here wants, encoded as ``event``."""
        sequences, conversation = self._sequences, chat.conversation
        if not sequences.has_started(conversation) and not self._begin_at(chat):
            return
        ready = sequences.offer(conversation, chat.seq, event, self._now())
        self._deliver(conversation, ready)
        if len(ready) != 1:
            self._arm()

    def hear_of(self, states: Iterable[ConversationState]) -> None:
        """Compare with what the store has: what has not come within the window is read."""
        for state in states:
            conversation = state.conversation
            if not self._sessions.follows(conversation):
                continue
            if conversation not in self._sequences:
                if state.updated_at_ms < self._agents_since_ms:
                    continue  # for agents it begins with its next message
                self._follow(conversation)
            self._sequences.hear_of(conversation, state.last_seq, self._now())
        self._arm()

    # Where a conversation begins.

    def _begin_at(self, chat: Chat) -> bool:
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
        before_ms = self._agents_since_ms if self._sessions.agents else None
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

    # What is missing.

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
        await asyncio.sleep(self._jitter_s())
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
            some = _first_bytes(found, BYTES_AT_ONCE)
            last = None if len(some) == len(found) else some[-1][0]
            ready = self._sequences.fill(gap, some, self._now(), head=head, last=last)
            self.found += len(some)
            self._deliver(gap.conversation, ready)
        self._arm()


def _first_bytes(events: list[tuple[int, bytes]], limit: int) -> list[tuple[int, bytes]]:
    """Take so many events that the limit is not passed, but at least one."""
    total = 0
    for place, (_, event) in enumerate(events):
        total += len(event)
        if total > limit and place:
            return events[:place]
    return events
