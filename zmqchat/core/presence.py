"""The sessions of other nodes: one log a node, kept as its origin tells it.

Knows logs, versions and hashes. Must not know links, time, who is alive or what users see.

- Each node owns the log of its own sessions; its version counts the changes. Everybody hears
  everybody, so one integer an origin says what is known of it.
- A delta is applied if it begins at the version known, else ignored: `knows` then says that
  something is missing. A snapshot is applied when all its chunks are there.
- Only the net difference comes out: a session in both the old and the new log is no news.
- Others' news never creates presence: a log is only ever changed by its origin's frames.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from zmqchat.core.journal import session_hash
from zmqchat.wire.mesh import Delta, SessionEntry, Snapshot


class Diff(NamedTuple):
    """Sessions that opened and that closed on one node."""

    opened: list[SessionEntry]
    closed: list[SessionEntry]


NOTHING = Diff([], [])


class _Log:
    """What is known of one life of another node."""

    __slots__ = ("chunks", "chunks_of", "hash", "incarnation", "sessions", "version")

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.version = 0
        self.hash = 0
        self.sessions: dict[int, SessionEntry] = {}
        self.chunks_of = 0, 0  # version and hash of the snapshot being put together
        self.chunks: dict[int, Snapshot] = {}


class Presence:
    """The logs of all other nodes; a node that never told of a session has none."""

    def __init__(self) -> None:
        self._logs: dict[int, _Log] = {}

    def sessions(self, node: int) -> Collection[SessionEntry]:
        """The sessions known of a node."""
        log = self._logs.get(node)
        return log.sessions.values() if log is not None else ()

    def version(self, node: int) -> tuple[int, int]:
        """The version known of a node's log, and its hash."""
        log = self._logs.get(node)
        return (log.version, log.hash) if log is not None else (0, 0)

    def knows(self, node: int, incarnation: int, version: int, version_hash: int) -> bool:
        """Whether nothing is missing of a log whose origin tells this version and hash."""
        log = self._logs.get(node)
        if log is None or log.incarnation != incarnation:
            return version == 0
        # An older version was told by a frame that was overtaken.
        return version < log.version or (version == log.version and version_hash == log.hash)

    def on_delta(self, node: int, incarnation: int, delta: Delta) -> Diff:
        """Apply a delta if it fits."""
        log = self._log(node, incarnation)
        if delta.from_version != log.version or delta.to_version <= delta.from_version:
            return NOTHING
        closed = [log.sessions.pop(key) for key in delta.closed if key in log.sessions]
        opened = [entry for entry in delta.opened if entry.session not in log.sessions]
        log.sessions.update((entry.session, entry) for entry in opened)
        for entry in (*opened, *closed):
            log.hash ^= session_hash(entry)
        log.version = delta.to_version
        return Diff(opened, closed)

    def on_snapshot(self, node: int, incarnation: int, snapshot: Snapshot) -> Diff:
        """Keep a chunk; with the last one, replace the log and return the net difference."""
        log = self._log(node, incarnation)
        told = snapshot.version, snapshot.hash
        if snapshot.version < log.chunks_of[0] or snapshot.chunk >= snapshot.chunks:
            return NOTHING
        if self.knows(node, incarnation, *told):
            return NOTHING
        if told != log.chunks_of:
            log.chunks_of, log.chunks = told, {}
        log.chunks[snapshot.chunk] = snapshot
        if len(log.chunks) < snapshot.chunks:
            return NOTHING
        before = log.sessions
        after = {entry.session: entry for chunk in log.chunks.values() for entry in chunk.sessions}
        log.sessions, log.version, log.chunks = after, snapshot.version, {}
        # Not what the snapshot says: should it be wrong, the next beat will tell.
        log.hash = 0
        for entry in after.values():
            log.hash ^= session_hash(entry)
        return Diff(
            opened=[entry for key, entry in after.items() if before.get(key) != entry],
            closed=[entry for key, entry in before.items() if after.get(key) != entry],
        )

    def drop(self, node: int) -> list[SessionEntry]:
        """Forget a node's log; return the sessions that were in it."""
        log = self._logs.pop(node, None)
        return list(log.sessions.values()) if log is not None else []

    def _log(self, node: int, incarnation: int) -> _Log:
        """Find the log of the life that speaks; the caller has dropped that of an older one."""
        log = self._logs.get(node)
        if log is None or log.incarnation != incarnation:
            log = self._logs[node] = _Log(incarnation)
        return log
