"""What messages are kept in during a run, and how it is made to fail."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import Signals
from types import TracebackType
from typing import Protocol, Self

from scripts.faulting.disks import SmallDisk
from scripts.faulting.history import Entry

SQLITE_DISK_MIB = 96
LOCK_PATIENCE_S = 10.0

SELECT_ROWS = (
    "SELECT customer, seq, message.id, msg FROM message "
    "JOIN conversation ON conversation.id = message.conversation_id ORDER BY customer, seq"
)
SELECT_HEADS = "SELECT customer, last_seq FROM conversation"


class Server(Protocol):
    """The process of a database that is no mere file."""

    def kill(self) -> None:
        """Kill it without warning."""

    def launch(self) -> None:
        """Start it again, in the main thread, with what was committed."""

    def await_ready(self) -> None:
        """Wait until it answers."""

    def send(self, number: Signals) -> None:
        """Send it a signal."""


class Database(Protocol):
    """A database of a run; to be used in a ``with`` block.

    ``url`` is for nodes.yaml; ``address`` is the ``host:port`` in it. A file has no address and
    no server.
    """

    url: str
    address: str | None
    server: Server | None

    @property
    def missing(self) -> Mapping[str, str]:
        """Faults that it cannot have, and why."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def lock(self, seconds: float) -> None:
        """Let nobody else write for so long; returns when that is over."""

    def fill_disk(self) -> Callable[[], None]:
        """Leave no room; return what gives it back."""

    def rows(self) -> list[Entry]:
        """Everything that is stored, in the order of seqs."""

    def heads(self) -> dict[str, int]:
        """The highest seq of each conversation."""


class SqliteFile:
    """A database file, with ``small_disk`` on one of those, if there may be one."""

    address: str | None = None
    server: Server | None = None

    def __init__(self, folder: Path, *, small_disk: bool = True) -> None:
        self._disk = SmallDisk(folder / "disk", SQLITE_DISK_MIB)
        self._mounts = small_disk
        self.path = self._disk.folder / "zmqchat.db"
        self.url = f"sqlite:///{self.path}"

    @property
    def missing(self) -> Mapping[str, str]:
        """A full disk, if there is no small one."""
        return {"full-disk": self._disk.problem} if self._disk.problem else {}

    def __enter__(self) -> Self:
        self._disk.folder.mkdir()
        if self._mounts:
            self._disk.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._disk.__exit__(kind, error, trace)

    def lock(self, seconds: float) -> None:
        """Hold the write lock."""
        with contextlib.closing(self._connect()) as database:
            database.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            database.execute("ROLLBACK")

    def fill_disk(self) -> Callable[[], None]:
        """Leave no room; return what gives it back."""
        # A log that has room of its own would go on being written for a while.
        with (
            contextlib.closing(self._connect()) as database,
            contextlib.suppress(sqlite3.OperationalError),
        ):
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._disk.fill()
        return self._disk.clear

    def rows(self) -> list[Entry]:
        """Everything that is stored."""
        return rows_of(self.path)

    def heads(self) -> dict[str, int]:
        """The highest seq of each conversation."""
        with contextlib.closing(self._connect()) as database:
            return dict(database.execute(SELECT_HEADS).fetchall())

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=LOCK_PATIENCE_S, isolation_level=None)


def rows_of(path: Path) -> list[Entry]:
    """Everything that is stored in a database file."""
    with contextlib.closing(sqlite3.connect(path, timeout=LOCK_PATIENCE_S)) as database:
        return [entry_of(row) for row in database.execute(SELECT_ROWS).fetchall()]


def entry_of(row: tuple[str, int, int, str]) -> Entry:
    """Read a row of `SELECT_ROWS`."""
    customer, seq, number, text = row
    return Entry.of(customer, seq, f"{number:016x}", text)
