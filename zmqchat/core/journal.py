"""This node's own log: its sessions, version by version, and what peers are told of them.

Knows sessions and versions. Must not know peers, time or frames' encoding.

- Every opening and every closing is one version. What is told, by deltas, beats and snapshots,
  is the log as of the last `take_deltas`; later changes wait for the next one.
- The hash of a log is the XOR of its sessions' hashes: what was told at a version is the same for
  all, so an equal version with another hash is an error somewhere, and is found out.
- The newest `RING_OPS` changes are kept: who misses less gets a delta, who misses more or has
  something else at its version gets the whole log.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from zmqchat.wire.mesh import Delta, SessionEntry, Snapshot, SyncRequest

RING_OPS = 4096
ENTRIES_PER_FRAME = 1000  # about 32 KiB with usual names; far below a frame's limit with any


class _Op(NamedTuple):
    session: int
    opened: SessionEntry | None  # None if it closed
    hash: int  # of the log after it


def session_hash(entry: SessionEntry) -> int:
    """Condense a session to 64 bits."""
    text = b"%d/%d/%s" % (entry.session, entry.agent, entry.user.encode())
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


class Journal:
    """The log of this node's sessions."""

    def __init__(self) -> None:
        self.version = 0  # as peers were told
        self.hash = 0  # at that version
        self._open: dict[int, SessionEntry] = {}
        self._told: dict[int, SessionEntry] = {}  # as of `version`
        self._pending: list[_Op] = []  # later than `version`
        self._newest_hash = 0
        self._ring: deque[_Op] = deque()  # up to `version`
        self._ring_start = 0, 0  # version and hash before the ring's first change
        self._chunks: list[Snapshot] = []  # of `version`, once somebody asked

    def __len__(self) -> int:
        return len(self._open)

    def open(self, entry: SessionEntry) -> None:
        """Note a session that opened; its number is new."""
        self._open[entry.session] = entry
        self._note(entry.session, entry, session_hash(entry))

    def close(self, session: int) -> SessionEntry:
        """Note that a session closed, and return what it was."""
        entry = self._open.pop(session)
        self._note(session, None, session_hash(entry))
        return entry

    def _note(self, session: int, opened: SessionEntry | None, changed_hash: int) -> None:
        self._newest_hash ^= changed_hash
        self._pending.append(_Op(session, opened, self._newest_hash))

    def take_deltas(self) -> list[Delta]:
        """Return what changed since the last call, as frames to publish in this order."""
        pending, self._pending = self._pending, []
        deltas = _cut(self.version, pending)
        for op in pending:
            if op.opened is not None:
                self._told[op.session] = op.opened
            else:
                del self._told[op.session]
        self.version += len(pending)
        self.hash = self._newest_hash
        self._remember(pending)
        return deltas

    def _remember(self, ops: Sequence[_Op]) -> None:
        if not ops:
            return
        self._chunks = []
        self._ring.extend(ops)
        version, _ = self._ring_start
        while len(self._ring) > RING_OPS:
            version += 1
            self._ring_start = version, self._ring.popleft().hash

    def answer(self, request: SyncRequest) -> Sequence[Delta | Snapshot]:
        """Return the frames that bring whoever asks to our version; none if it is there."""
        have = request.have_version, request.have_hash
        if have == (self.version, self.hash):
            return ()
        first, first_hash = self._ring_start
        position = request.have_version - first
        if 0 <= position <= len(self._ring):
            known_hash = self._ring[position - 1].hash if position else first_hash
            if known_hash == request.have_hash:
                missed = list(itertools.islice(self._ring, position, None))
                return _cut(request.have_version, missed)
        return self.snapshot()

    def snapshot(self) -> Sequence[Snapshot]:
        """Return the whole log in chunks."""
        if not self._chunks:
            told = list(self._told.values())
            starts = range(0, max(len(told), 1), ENTRIES_PER_FRAME)
            self._chunks = [
                Snapshot(
                    self.version,
                    index,
                    len(starts),
                    told[start : start + ENTRIES_PER_FRAME],
                    self.hash,
                )
                for index, start in enumerate(starts)
            ]
        return self._chunks


def _cut(version: int, ops: Sequence[_Op]) -> list[Delta]:
    """Make deltas of the changes that follow a version; each tells only its net change."""
    deltas = []
    for start in range(0, len(ops), ENTRIES_PER_FRAME):
        piece = ops[start : start + ENTRIES_PER_FRAME]
        opened: dict[int, SessionEntry] = {}
        closed: list[int] = []
        for op in piece:
            if op.opened is not None:
                opened[op.session] = op.opened
            elif opened.pop(op.session, None) is None:
                closed.append(op.session)
        first = version + start
        deltas.append(
            Delta(first, first + len(piece), list(opened.values()), closed, piece[-1].hash)
        )
    return deltas
