"""What the writer is asked to do, and the queue in which it waits.

The queue is bounded in number and bytes, with one thread that puts and one that takes. Each side
counts what it moved and only reads the other's number, so that the counting needs no lock. Waking
the other thread costs more than all else, and a writer woken by the first of many jobs would
commit that one alone: so who puts says when it is done for now, and only a writer that waits is
woken.
"""

from __future__ import annotations

import collections
import queue
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from zmqchat.store.ports import Draft, Side


class Append(msgspec.Struct, gc=False):
    """A draft that waits to be stored; ``id`` is given once and kept through all tries."""

    draft: Draft
    done: Callable[[Any], None]  # gets an Outcome
    size: int  # bytes
    id: int = 0


class Mark(msgspec.Struct, gc=False):
    """A read mark that waits to be raised."""

    conversation: str
    side: Side
    seq: int
    done: Callable[[Any], None]  # gets the mark, or None if it did not move
    size: int  # bytes


class LogIn(msgspec.Struct, gc=False):
    """A login that waits for its epoch."""

    user: str
    session: str
    continues: bool  # goes on with an earlier login under the same name
    node: int
    incarnation: int
    done: Callable[[Any], None]  # gets a core.logins.Login, or None if the store closes
    size: int  # bytes


Job = Append | Mark | LogIn


class JobQueue:
    """Jobs in their order; what was taken counts against the bounds until it is `finished`."""

    def __init__(self, max_jobs: int, max_bytes: int) -> None:
        self._jobs: collections.deque[Job] = collections.deque()
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._waits = False  # the thread that takes found nothing and will look no more
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._put_jobs = self._put_bytes = 0
        self._finished_jobs = self._finished_bytes = 0
        self._closed = False

    def __len__(self) -> int:
        return self._put_jobs - self._finished_jobs

    def put(self, job: Job) -> bool:
        """Queue a job, or return False when that would break a bound or the queue is closed.

        It is taken for certain only after a `wake`.
        """
        if (
            self._closed
            or self._put_jobs - self._finished_jobs >= self._max_jobs
            or self._put_bytes - self._finished_bytes + job.size > self._max_bytes
        ):
            return False
        self._put_jobs += 1
        self._put_bytes += job.size
        self._jobs.append(job)
        return True

    def wake(self) -> None:
        """Have what was put taken now, if the other thread waits."""
        if self._waits:
            self._waits = False
            self._wakes.put(None)

    def close(self) -> None:
        """Take no more jobs; those that wait can still be taken."""
        self._closed = True
        self._wakes.put(None)

    def take(self, max_jobs: int, max_bytes: int) -> list[Job]:
        """Wait for a job, and take it with those behind it; nothing once closed and empty.

        The job that reaches ``max_bytes`` is the last one.
        """
        while not self._jobs:
            self._waits = True
            # Said first, looked again after: a job put in between is seen here or wakes us.
            if not self._jobs:
                if self._closed:
                    return []
                self._wakes.get()
            self._waits = False
        jobs: list[Job] = []
        size = 0
        while self._jobs and len(jobs) < max_jobs and size < max_bytes:
            job = self._jobs.popleft()
            jobs.append(job)
            size += job.size
        return jobs

    def finished(self, jobs: Sequence[Job]) -> None:
        """Give back the room of jobs that were taken."""
        self._finished_bytes += sum(job.size for job in jobs)
        self._finished_jobs += len(jobs)
