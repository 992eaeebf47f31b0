"""The queue of the writer: its order and its bounds."""

from __future__ import annotations

import threading
import time

from zmqchat.store.jobs import Job, JobQueue, Mark
from zmqchat.store.ports import Side


def job(seq: int, size: int = 10) -> Mark:
    """A job that is told from others by its seq."""
    return Mark("u1", Side.DESK, seq, print, size)


def seqs(jobs: list[Job]) -> list[int]:
    """Tell jobs by their seqs."""
    return [each.seq for each in jobs if isinstance(each, Mark)]


def test_jobs_are_taken_in_order_and_in_batches() -> None:
    """A batch ends at its number of jobs, or with the job that fills up its bytes."""
    queue = JobQueue(max_jobs=100, max_bytes=10_000)
    for seq in range(7):
        assert queue.put(job(seq))
    assert seqs(queue.take(3, 1000)) == [0, 1, 2]
    assert seqs(queue.take(100, 15)) == [3, 4]
    assert seqs(queue.take(100, 1000)) == [5, 6]


def test_what_was_taken_counts_until_it_is_finished() -> None:
    """The bounds hold for all jobs in memory, not only for those that wait."""
    queue = JobQueue(max_jobs=2, max_bytes=1000)
    assert [queue.put(job(seq)) for seq in range(3)] == [True, True, False]
    taken = queue.take(1, 1000)
    assert not queue.put(job(3))
    queue.finished(taken)
    assert len(queue) == 1
    assert queue.put(job(4))


def test_the_bytes_are_bounded_too() -> None:
    """A large job is refused where a small one still fits."""
    queue = JobQueue(max_jobs=100, max_bytes=100)
    assert queue.put(job(1, size=60))
    assert not queue.put(job(2, size=41))
    assert queue.put(job(3, size=40))


def test_a_closed_queue_is_taken_to_its_end() -> None:
    """What waited can be taken, then comes nothing, again and again."""
    queue = JobQueue(max_jobs=100, max_bytes=1000)
    queue.put(job(1))
    queue.close()
    queue.close()
    assert not queue.put(job(2))
    assert seqs(queue.take(100, 1000)) == [1]
    assert queue.take(100, 1000) == []
    assert queue.take(100, 1000) == []


def test_take_waits_for_the_first_job() -> None:
    """A thread that takes sleeps until there is something, or the queue is closed."""
    queue = JobQueue(max_jobs=100, max_bytes=1000)
    taken: list[list[Job]] = []
    thread = threading.Thread(target=lambda: taken.extend(iter(lambda: queue.take(100, 1000), [])))
    thread.start()
    for seq in range(50):
        queue.put(job(seq))
        queue.wake()
    while len(taken) == 0 or seqs(taken[-1])[-1] < 49:
        assert thread.is_alive()
        time.sleep(0.001)
    queue.close()
    thread.join(10)
    assert not thread.is_alive()
    assert [seq for jobs in taken for seq in seqs(jobs)] == list(range(50))
