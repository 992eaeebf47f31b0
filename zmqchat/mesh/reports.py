"""Warnings that anybody outside can cause, so that they cannot fill a log.

The same about the same address is said once a minute, and the next time it is, with how often it
happened in between. Past `MOST_SUBJECTS` in a minute further ones are told as one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

INTERVAL_S = 60.0
MOST_SUBJECTS = 1000


class _Said(NamedTuple):
    """When something was last said, and how often it happened since without a word."""

    at_s: float
    since: int


class Reports:
    """Says each warning about each address at most once in `INTERVAL_S`."""

    def __init__(self, log: logging.Logger, now: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now = now
        self._said: dict[tuple[str, str], _Said] = {}

    def warn(self, what: str, address: str) -> None:
        """Log ``what`` about an address, unless that was said a short while ago."""
        subject = (what, address)
        if subject not in self._said and len(self._said) >= MOST_SUBJECTS:
            self._forget_old()
            if len(self._said) >= MOST_SUBJECTS:
                subject = (what, "further addresses")
        said = self._said.get(subject)
        if said is not None and self._now() - said.at_s < INTERVAL_S:
            self._said[subject] = said._replace(since=said.since + 1)
            return
        more = f"; {said.since} times more since the last such line" if said and said.since else ""
        self._said[subject] = _Said(self._now(), 0)
        self._log.warning("%s: %s%s", subject[1], what, more)

    def _forget_old(self) -> None:
        limit_s = self._now() - INTERVAL_S
        self._said = {k: said for k, said in self._said.items() if said.at_s > limit_s}
