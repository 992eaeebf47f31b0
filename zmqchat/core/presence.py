"""Who is online in the cluster: one log of sessions per node, merged into users.

Knows sessions, versions and incarnations. Must not know links or who is alive: it is told.

- Each node owns the log of its own sessions; its version counts the changes. Everybody hears
  everybody, so one integer an origin says what is known of it.
- A delta is applied if it begins at the version known; an older one is ignored; a newer one, or
  a beat with a higher version, is a gap: the origin is asked for a snapshot.
- A snapshot is applied when all its chunks are there, and only the net difference is emitted.
- Others' news never creates presence: a log is only ever changed by its origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from zmqchat.wire.mesh import Delta, SessionEntry, Snapshot, SyncRequest

ENTRIES_PER_FRAME = 1000  # sessions in a delta or a chunk: far below a frame's limit
SYNC_RETRY_S = 1.0  # how long an origin's snapshot may take before it is asked for again


class Diff(NamedTuple):
    """Customers whose first session opened, or whose last one closed, in the cluster."""

    joined: list[str]
    left: list[str]


class _Log:
    """What is known of one life of another node."""

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.version = 0
        self.sessions: dict[int, SessionEntry] = {}
        self.asked_at: float | None = None
        self.chunks_of = 0  # version of the snapshot being put together
        self.chunks: dict[int, Snapshot] = {}


class Presence:
    """The logs of all nodes, and the users they add up to."""

    def __init__(self) -> None:
        self.version = 0  # of our own log
        self._own: dict[int, SessionEntry] = {}
        self._published = 0
        self._opened: dict[int, SessionEntry] = {}
        self._closed: set[int] = set()
        self._logs: dict[int, _Log] = {}
        self._online: dict[str, int] = {}  # customer -> sessions, in the order they came

    @property
    def online(self) -> dict[str, int]:
        """Sessions by customer, the newest customer last; not to be changed."""
        return self._online

    @property
    def published(self) -> int:
        """The version of our own log that peers were told: the one a beat may speak of."""
        return self._published

    @property
    def own_sessions(self) -> int:
        """Sessions in our own log."""
        return len(self._own)

    # Our own log.

    def open(self, entry: SessionEntry) -> Diff:
        """Note a session opened here."""
        self.version += 1
        self._own[entry.session] = entry
        self._opened[entry.session] = entry
        return self._changed(opened=[entry], closed=[])

    def close(self, session: int) -> Diff:
        """Note that a session opened here is closed."""
        self.version += 1
        entry = self._own.pop(session)
        # A session that came and went since the last delta was never told to anybody.
        if self._opened.pop(session, None) is None:
            self._closed.add(session)
        return self._changed(opened=[], closed=[entry])

    def take_deltas(self) -> list[Delta]:
        """Return what changed since the last call, as frames to publish in this order."""
        opened, closed = list(self._opened.values()), sorted(self._closed)
        first, last = self._published, self.version
        self._opened, self._closed, self._published = {}, set(), last
        if first == last:
            return []
        size = ENTRIES_PER_FRAME
        starts = range(0, max(len(opened), len(closed), 1), size)
        # Versions in between only have to count up; each piece has at least one change of its own.
        bounds = [first + position for position in range(len(starts))] + [last]
        return [
            Delta(low, high, opened[start : start + size], closed[start : start + size])
            for start, low, high in zip(starts, bounds, bounds[1:], strict=False)
        ]

    def snapshot(self) -> list[Snapshot]:
        """Return our own log in chunks, as of the newest version that was published."""
        told = [entry for key, entry in self._own.items() if key not in self._opened]
        size = ENTRIES_PER_FRAME
        starts = range(0, max(len(told), 1), size)
        return [
            Snapshot(self._published, index, len(starts), told[start : start + size])
            for index, start in enumerate(starts)
        ]

    # The logs of others.

    def on_delta(self, node: int, incarnation: int, delta: Delta) -> Diff:
        """Apply a delta if it fits; a gap shows at the next `missing`."""
        log = self._log(node, incarnation)
        if log is None or delta.from_version != log.version:
            return Diff([], [])
        closed = [log.sessions.pop(key) for key in delta.closed if key in log.sessions]
        opened = [entry for entry in delta.opened if entry.session not in log.sessions]
        log.sessions.update((entry.session, entry) for entry in opened)
        log.version = delta.to_version
        return self._changed(opened, closed)

    def missing(self, node: int, incarnation: int, version: int, now: float) -> SyncRequest | None:
        """Compare with a version the origin told; return what to ask it for, if anything."""
        log = self._log(node, incarnation)
        if log is None or version <= log.version:
            return None
        if log.asked_at is not None and now - log.asked_at < SYNC_RETRY_S:
            return None
        log.asked_at = now
        return SyncRequest(incarnation, log.version)

    def on_snapshot(self, node: int, incarnation: int, snapshot: Snapshot) -> Diff:
        """Keep a chunk; with the last one, replace the log and return the net difference."""
        log = self._log(node, incarnation)
        if log is None or snapshot.version <= log.version or snapshot.version < log.chunks_of:
            return Diff([], [])
        if snapshot.version > log.chunks_of:
            log.chunks_of, log.chunks = snapshot.version, {}
        log.chunks[snapshot.chunk] = snapshot
        if len(log.chunks) < snapshot.chunks:
            return Diff([], [])
        before = log.sessions
        after = {entry.session: entry for chunk in log.chunks.values() for entry in chunk.sessions}
        log.sessions, log.version, log.chunks, log.asked_at = after, snapshot.version, {}, None
        return self._changed(
            opened=[entry for key, entry in after.items() if key not in before],
            closed=[entry for key, entry in before.items() if key not in after],
        )

    def drop(self, node: int) -> Diff:
        """Forget a node that is down or left, with all its sessions."""
        log = self._logs.pop(node, None)
        return self._changed([], list(log.sessions.values())) if log else Diff([], [])

    def begin(self, node: int, incarnation: int) -> Diff:
        """Begin the log of a new life of a node; what an older life left is gone."""
        diff = self.drop(node)
        self._logs[node] = _Log(incarnation)
        return diff

    def _log(self, node: int, incarnation: int) -> _Log | None:
        log = self._logs.get(node)
        return log if log is not None and log.incarnation == incarnation else None

    def _changed(self, opened: Iterable[SessionEntry], closed: Iterable[SessionEntry]) -> Diff:
        """Count sessions of customers; a user who moved has neither joined nor left."""
        online = self._online
        before: dict[str, bool] = {}
        for step, entries in ((1, opened), (-1, closed)):
            for entry in entries:
                if entry.agent:
                    continue
                count = online.get(entry.user, 0)
                before.setdefault(entry.user, count > 0)
                online[entry.user] = count + step
        joined = [user for user, was in before.items() if not was and online[user] > 0]
        left = [user for user, was in before.items() if was and online[user] == 0]
        for user in before:
            if online[user] == 0:
                del online[user]
        return Diff(joined, left)
