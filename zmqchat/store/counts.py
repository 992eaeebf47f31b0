"""What a store has counted; `web.metrics` shows it."""

from __future__ import annotations

from collections.abc import Sized

import prometheus_client

# A commit forces the disk to write: 1 ms on a good one, 50 ms on a bad one.
_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)


class StoreCounts:
    """Plain numbers since the store was opened, and how long batches took."""

    def __init__(self, queue: Sized) -> None:
        self._queue = queue
        self.stored = 0  # messages
        self.duplicates = 0  # drafts that had been stored before
        self.refused = 0  # writes that can never be done
        self.batches = 0
        self.retries = 0  # tries of a batch beyond its first
        self.trouble: str | None = None  # why the batch at hand is being tried again
        self.commit_seconds = prometheus_client.Histogram(
            "zmqchat_commit_seconds",
            "Time from taking a batch of writes to its commit, all tries included.",
            buckets=_BUCKETS_S,
            registry=None,
        )

    @property
    def queue_length(self) -> int:
        """Writes that wait or are being done."""
        return len(self._queue)
