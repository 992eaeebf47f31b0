"""A disk of its own for a database: some megabytes of memory, which can be filled up.

That needs the right to mount; without it the folder is a plain one, and cannot be filled.
"""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

FILL_CHUNKS = (1024 * 1024, 4096)  # bytes; the small ones fill the last corner


class SmallDisk:
    """A folder with little room; ``problem`` tells why it has as much as any, if so."""

    def __init__(self, folder: Path, mib: int) -> None:
        self.folder = folder
        self._mib = mib
        self.problem: str | None = "no small disk is mounted"
        self._filler = folder / "filler"

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            self.problem = "only root may mount a small disk"
            return self
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._mib}m", "small", str(self.folder)]
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
