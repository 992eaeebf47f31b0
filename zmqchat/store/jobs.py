"""What the writer is asked to do, and the queue in which it waits.

The queue is bounded in number and bytes, with one thread that puts and one that takes.
`queue.SimpleQueue` wakes its reader only when that really waits, and costs less than a lock of
our own. Each side counts what it moved and only reads the other's number, so that the counting
needs no lock either.
"""

from __future__ import annotations

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
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._put_jobs = self._put_bytes = 0
        self._finished_jobs = self._finished_bytes = 0
        self._closed = False

    def __len__(self) -> int:
        return self._put_jobs - self._finished_jobs

    def put(self, job: Job) -> bool:
        """Queue a job, or return False when that would break a bound or the queue is closed."""
        if (
            self._closed
            or self._put_jobs - self._finished_jobs >= self._max_jobs
            or self._put_bytes - self._finished_bytes + job.size > self._max_bytes
        ):
            return False
        self._put_jobs += 1
        self._put_bytes += job.size
        self._jobs.put(job)
        return True

    def close(self) -> None:
        """Take no more jobs; those that wait can still be taken."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)

    def take(self, max_jobs: int, max_bytes: int) -> list[Job]:
        """Wait for a job, and take it with those behind it; nothing once closed and empty.

        The job that reaches ``max_bytes`` is the last one.
        """
        jobs: list[Job] = []
        size = 0
        more = 1
        while more and size < max_bytes:
            job = self._jobs.get()
            if job is None:
                self._jobs.put(None)  # the end is found again by the next call
                break
            jobs.append(job)
            size += job.size
            more = min(self._jobs.qsize(), max_jobs - len(jobs))
        return jobs

    def finished(self, jobs: Sequence[Job]) -> None:
        """Give back the room of jobs that were taken."""
        self._finished_bytes += sum(job.size for job in jobs)
        self._finished_jobs += len(jobs)
