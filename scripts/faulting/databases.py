"""What messages are kept in during a run, and how it is made to fail.

A database file may lie on a disk of its own, a few megabytes of memory that can be filled up.
That needs the right to mount; without it ``fill`` is not on offer.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.faulting.history import Entry

DISK_MIB = 96
FILL_CHUNKS = (1024 * 1024, 4096)  # bytes; the small ones fill the last corner
LOCK_PATIENCE_S = 10.0


class SmallDisk:
    """A folder with little room; ``problem`` tells why there is none, if so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problem: str | None = "it is not mounted"
        self._filler = folder / "filler"

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            self.problem = "only root may mount a small disk"
            return self
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "small", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        failed = done.returncode != 0
        self.problem = f"no small disk: {done.stderr.strip()}" if failed else None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.problem is None:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def fill(self) -> None:
        """Leave no room at all."""
        with self._filler.open("wb", buffering=0) as file:
            for size in FILL_CHUNKS:
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def clear(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)


class SqliteFile:
    """A database file, with ``small_disk`` on one of those, if there may be one."""

    def __init__(self, folder: Path, *, small_disk: bool = True) -> None:
        self._disk = SmallDisk(folder / "disk")
        self._mounts = small_disk
        self.path = self._disk.folder / "zmqchat.db"
        self.url = f"sqlite:///{self.path}"

    @property
    def missing(self) -> dict[str, str]:
        """Faults that cannot be had, and why."""
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
        """Be the only writer for so long."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=LOCK_PATIENCE_S)) as database:
            database.isolation_level = None
            database.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            database.execute("ROLLBACK")

    def fill_disk(self) -> Callable[[], None]:
        """Leave no room; return what gives it back."""
        # A log that has room of its own would go on being written for a while.
        with (
            contextlib.closing(sqlite3.connect(self.path, timeout=1.0)) as database,
            contextlib.suppress(sqlite3.OperationalError),
        ):
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._disk.fill()
        return self._disk.clear

    def rows(self) -> list[Entry]:
        """Everything that is stored."""
        return rows_of(self.path)


def rows_of(path: Path) -> list[Entry]:
    """Everything that is stored in a database file."""
    query = (
        "SELECT customer, seq, message.id, msg FROM message "
        "JOIN conversation ON conversation.id = message.conversation_id ORDER BY customer, seq"
    )
    with contextlib.closing(sqlite3.connect(path, timeout=LOCK_PATIENCE_S)) as database:
        found = database.execute(query).fetchall()
    return [Entry(customer, seq, f"{number:016x}", text) for customer, seq, number, text in found]
