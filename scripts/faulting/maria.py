"""A MariaDB of a run's own, with its data on a small disk if there may be one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from scripts.faulting.databases import SELECT_HEADS, SELECT_ROWS, Server, entry_of
from scripts.faulting.disks import SmallDisk
from scripts.faulting.history import Entry
from tests.databases import MariaServer

DISK_MIB = 512
HOST = "127.0.0.1"


class MariaDatabase:
    """A server, whose process and whose links to the nodes can be broken as well."""

    def __init__(self, folder: Path) -> None:
        self.url = ""
        self.address: str | None = None
        self._disk = SmallDisk(folder / "disk", DISK_MIB)
        self._maria = MariaServer(self._disk.folder / "mariadb")
        self.server: Server | None = self._maria
        self._stack = contextlib.ExitStack()

    @property
    def missing(self) -> Mapping[str, str]:
        """A full disk, if there is no small one."""
        return {"full-disk": self._disk.problem} if self._disk.problem else {}

    def __enter__(self) -> Self:
        self._disk.folder.mkdir()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._disk)
            stack.enter_context(self._maria)
            self.url = self._maria.fresh()
            self._stack = stack.pop_all()
        self.address = f"{HOST}:{self._maria.port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def lock(self, seconds: float) -> None:
        """Let nobody write for so long."""
        with self._maria.connection() as connection, connection.cursor() as cursor:
            cursor.execute("FLUSH TABLES WITH READ LOCK")
            time.sleep(seconds)
            cursor.execute("UNLOCK TABLES")

    def fill_disk(self) -> Callable[[], None]:
        """Leave no room; return what gives it back."""
        self._disk.fill()
        return self._disk.clear

    def rows(self) -> list[Entry]:
        """Everything that is stored, in the order of seqs."""
        return [
            entry_of((name, seq, number, text))
            for name, seq, number, text in self._run(SELECT_ROWS)
        ]

    def heads(self) -> dict[str, int]:
        """The highest seq of each conversation."""
        return dict(self._run(SELECT_HEADS))

    def _run(self, query: str) -> list[tuple[Any, ...]]:
        return self._maria.run(query, self.url.rpartition("/")[2])
