"""What the system lets a process have."""

from __future__ import annotations

import contextlib
import resource


def raise_file_limit() -> None:
    """Allow as many open files, and so connections, as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
