"""The writer: one thread that does all of a node's writes, many in each transaction.

It takes whatever is queued and commits it; what arrives meanwhile is the next batch, so batches
grow with the load and nobody waits for a timer. The answers of a batch go to the event loop in
one call.

When the database has trouble:

- that may pass (busy, a deadlock, a lost connection, a full disk), the batch is rolled back and
  run again from the start, later and later, while the queue fills up behind it;
- because another process stored one of the keys just now, it is run again at once, and finds it;
- for any other reason, something in the batch can never be stored: the batch is halved until the
  culprit is alone, and only that is refused.

A commit whose answer was lost is run again like the rest, and finds its own rows by their ids.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence

import peewee

from zmqchat.core.logins import Login
from zmqchat.errors import ErrorCode, Refused
from zmqchat.store.batch import Answer, Batch
from zmqchat.store.counts import StoreCounts
from zmqchat.store.dialect import Clock, Dialect, Trouble
from zmqchat.store.ids import MessageIds
from zmqchat.store.jobs import Append, Job, JobQueue, LogIn, Mark
from zmqchat.store.ports import Draft, Outcome, Side

MAX_BATCH_JOBS = 500
MAX_BATCH_BYTES = 1024 * 1024
FIRST_WAIT_S = 0.005  # before a batch is tried again; doubled with each try
LONGEST_WAIT_S = 0.5
TAKEN_TRIES = 5  # a key that is taken again and again is not found by looking it up
_MARK_SIZE = 200  # bytes, about
_LOG_IN_SIZE = 300

log = logging.getLogger(__name__)


class Writer:
    """Queues writes from the event loop's thread and does them in a thread of its own.

    ``ids`` must be set before the first draft comes: they need the number of the node.
    """

    def __init__(
        self,
        dialect: Dialect,
        loop: asyncio.AbstractEventLoop,
        *,
        clock: Clock,
        max_jobs: int,
        max_bytes: int,
    ) -> None:
        self.ids: MessageIds | None = None
        self.database = dialect.database(for_writing=True)
        self._dialect = dialect
        self._loop = loop
        self._clock = clock
        self._now_ms = 0
        self._queue = JobQueue(max_jobs, max_bytes)
        self._waking = False  # a wake is scheduled
        self.counts = StoreCounts(self._queue)
        self._give_up_at: float | None = None  # of time.monotonic(); set by close
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def append(self, draft: Draft, done: Callable[[Outcome], None]) -> bool:
        """Queue a message; see `ports.Messages`."""
        if self.ids is None:
            raise RuntimeError("append before register: message ids need the number of the node")
        return self._put(Append(draft, done, sys.getsizeof(draft.msg)))

    def mark_read(
        self, conversation: str, side: Side, seq: int, done: Callable[[int | None], None]
    ) -> bool:
        """Queue a read mark; see `ports.Messages`."""
        return self._put(Mark(conversation, side, seq, done, _MARK_SIZE))

    def log_in(
        self,
        user: str,
        session: str,
        *,
        continues: bool,
        node: int,
        incarnation: int,
        done: Callable[[Login | None], None],
    ) -> bool:
        """Queue a login; ``done`` gets None if it cannot be done. False: the queue is full."""
        return self._put(LogIn(user, session, continues, node, incarnation, done, _LOG_IN_SIZE))

    def _put(self, job: Job) -> bool:
        """Queue a job; the thread is woken once for all jobs of a turn of the event loop."""
        if not self._queue.put(job):
            return False
        if not self._waking:
            self._waking = True
            self._loop.call_soon(self._wake)
        return True

    def _wake(self) -> None:
        self._waking = False
        self._queue.wake()

    def close(self, deadline_s: float) -> None:
        """Finish what is queued, refuse as busy what is left at the deadline; blocks that long.

        Must not be called in the event loop's thread, which is to take the answers meanwhile.
        """
        self._give_up_at = time.monotonic() + deadline_s
        self._queue.close()
        self._thread.join(deadline_s + LONGEST_WAIT_S + 2)
        if self._thread.is_alive():
            log.error("%s hangs; %d writes stay unanswered", self._dialect.where, len(self._queue))

    def _run(self) -> None:
        while jobs := self._queue.take(MAX_BATCH_JOBS, MAX_BATCH_BYTES):
            self._give_ids(jobs)
            with self.counts.commit_seconds.time():
                self._write(jobs)
            self.counts.batches += 1
            self._queue.finished(jobs)
        self._disconnect()

    def _give_ids(self, jobs: Sequence[Job]) -> None:
        drafts = [job for job in jobs if isinstance(job, Append)]
        if drafts and self.ids is not None:
            # By this machine's clock, which need not wait for the database: ids have to differ
            # and to grow, and are no time that anybody compares.
            ids = self.ids.take(time.time_ns() // 1_000_000, len(drafts))
            for job, message_id in zip(drafts, ids, strict=True):
                job.id = message_id

    def _write(self, jobs: Sequence[Job], *, tried_before: bool = False) -> None:
        try:
            answers = self._commit(jobs, tried_before=tried_before)
        except Exception:
            if len(jobs) > 1:
                middle = len(jobs) // 2
                self._write(jobs[:middle], tried_before=True)
                self._write(jobs[middle:], tried_before=True)
                return
            # Also the last line of defence: no mistake in here may end all writing.
            log.exception("%s refused a write", self._dialect.where)
            answers = _refusals(jobs, ErrorCode.NOT_STORED, "the database refused this message")
            self.counts.refused += 1
        self._answer(jobs, answers)

    def _commit(self, jobs: Sequence[Job], *, tried_before: bool) -> list[Answer]:
        """Commit these jobs together; raise what will not pass by trying again."""
        wait_s = FIRST_WAIT_S
        tries: collections.Counter[Trouble] = collections.Counter()
        while not self._out_of_time():
            try:
                answers = self._attempt(jobs, tried_before=tried_before)
            except Exception as error:
                trouble = self._dialect.trouble(error)
                tries[trouble] += 1
                if trouble is Trouble.REFUSED or tries[Trouble.TAKEN] > TAKEN_TRIES:
                    raise
                if trouble is Trouble.PASSING and tries[trouble] == 1:
                    log.warning("%s takes no writes for now: %s", self._dialect.where, error)
                self.counts.trouble = f"it takes no writes for now: {error}"
            else:
                self.counts.trouble = None
                return answers
            self.counts.retries += 1
            tried_before = True
            time.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        return _refusals(jobs, ErrorCode.BUSY, "the server stops; try again")

    def _attempt(self, jobs: Sequence[Job], *, tried_before: bool) -> list[Answer]:
        batch = Batch(jobs)
        database = self.database
        try:
            database.connect(reuse_if_open=True)
            database.begin()
            cursor = database.cursor()
            self._now_ms = max(self._now_ms, self._clock(cursor))
            batch.write(cursor, self._dialect.statements, self._now_ms, tried_before=tried_before)
            database.commit()
        except BaseException as error:
            self._roll_back(error)
            raise
        self.counts.stored += batch.stored
        self.counts.duplicates += batch.duplicates
        self.counts.refused += batch.refused
        return batch.answers

    def _roll_back(self, error: BaseException) -> None:
        if isinstance(error, Exception) and self._dialect.lost(error):
            self._disconnect()  # which rolls back
            return
        try:
            self.database.rollback()
        except peewee.PeeweeException:  # there is nothing to roll back, or no connection
            self._disconnect()

    def _disconnect(self) -> None:
        with contextlib.suppress(peewee.PeeweeException):
            self.database.close()

    def _out_of_time(self) -> bool:
        return self._give_up_at is not None and time.monotonic() > self._give_up_at

    def _answer(self, jobs: Sequence[Job], answers: Sequence[Answer]) -> None:
        try:
            self._loop.call_soon_threadsafe(_hand_out, jobs, answers)
        except RuntimeError:  # the loop was closed before the store
            log.exception("nobody takes the answers to %d writes", len(jobs))


def _hand_out(jobs: Sequence[Job], answers: Sequence[Answer]) -> None:
    """Give each job its answer, in the event loop's thread."""
    for job, answer in zip(jobs, answers, strict=True):
        try:
            job.done(answer)
        except Exception:  # a mistake of one receiver must not cost the others their answers
            log.exception("the answer to a write was not taken")


def _refusals(jobs: Sequence[Job], code: ErrorCode, text: str) -> list[Answer]:
    return [
        Refused(code, text, job.draft.client_id) if isinstance(job, Append) else None
        for job in jobs
    ]
