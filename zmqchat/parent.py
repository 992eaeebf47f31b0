"""Die with the process that started this one, even if that is killed in the middle of anything.

The kernel keeps this promise on Linux. Elsewhere a killed `zmqchat up` leaves its children
running; it ends them itself in every other case.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with(parent: int | None) -> None:
    """Have this process killed as soon as its parent ends; nothing happens for None.

    ``parent`` is the parent's process id as the parent told it, so that one which ended before
    this call is noticed too.
    """
    if parent is None or sys.platform != "linux":
        return
    # SIGKILL: whoever killed the parent without warning wants all of it gone, even a child that
    # hangs or is stopped. What was acknowledged is in the database.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
