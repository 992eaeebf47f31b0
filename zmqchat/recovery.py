"""Finds what was stored but never heard of: the audits of the database.

The mesh may lose a frame, and nobody is told. A message in the middle of a conversation is missed
when the next one comes; the last one is found here, by asking the database what has changed since
the last time. That costs what was written meanwhile, however many conversations there are. An
audit is made

- every `AUDIT_S`, give or take a fifth;
- soon after a chat frame was missed (its origin numbers them and tells the number in its beats),
  and after a node was heard for the first time, came back, or went down: it may have stored what
  it could not tell any more;
- every `QUICK_AUDIT_S` while a node that may live cannot be heard, and while audits find what the
  mesh did not bring: then chat goes on through the database, a little slower.

What an audit finds is not delivered here: `following` is told, and reads what does not come by
itself within the reorder window.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Callable

from zmqchat.core.arrivals import Arrivals
from zmqchat.errors import StoreUnavailable
from zmqchat.following import Following
from zmqchat.store.ports import Messages

log = logging.getLogger(__name__)

AUDIT_S = 5.0
QUICK_AUDIT_S = 0.5
LEAST_BETWEEN_S = 0.1
LOOK_BACK_MS = 10_000  # a message is stamped before its commit, which may take a while
ROWS_AT_ONCE = 1000
STATES_AN_AUDIT = 500  # of followed conversations, looked up in turn whatever their stamps say


class Recovery:
    """Asks the database what changed, and tells `Following`.

    ``deaf`` tells whether a node that may live cannot be heard; ``now`` is the event loop's
    clock in seconds.
    """

    def __init__(
        self,
        messages: Messages,
        following: Following,
        *,
        now: Callable[[], float],
        deaf: Callable[[], bool],
        rng: random.Random,
    ) -> None:
        self.arrivals = Arrivals()
        self.audits = 0
        self._messages = messages
        self._following = following
        self._now = now
        self._deaf = deaf
        self._rng = rng
        self._audited_ms: int | None = None  # by the store's clock: all stamped before is known
        self._found_before = 0
        self._turn = 0  # of the followed conversations that are looked up in turn
        self._soon = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._failed = False

    # What the mesh tells.

    def on_frame(self, node: int, incarnation: int, oseq: int) -> None:
        """Note a chat frame of a peer, by the number its origin gave it."""
        self.arrivals.on_frame(node, incarnation, oseq, self._now())
        if self._timer is None and self.arrivals.next_due != math.inf:
            self._arm()

    def on_told(self, node: int, incarnation: int, oseq: int) -> None:
        """Note the number of the newest chat frame that a peer has told in a beat."""
        self.arrivals.on_told(node, incarnation, oseq, self._now())
        if self._timer is None and self.arrivals.next_due != math.inf:
            self._arm()

    def forget(self, node: int) -> None:
        """Drop what is known of a node that is gone."""
        self.arrivals.forget(node)

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_at(self.arrivals.next_due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self.arrivals.missed(self._now()):
            self.audit_soon()
        if self.arrivals.next_due != math.inf:
            self._arm()

    # Audits.

    def audit_soon(self) -> None:
        """Ask the database at once, since something may not have been heard."""
        self._soon.set()

    async def keep_auditing(self) -> None:
        """Audit until cancelled."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s()):
                        await self._soon.wait()
                self._soon.clear()
                await self._audit()
                await asyncio.sleep(LEAST_BETWEEN_S)
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _pause_s(self) -> float:
        recovering = self._following.found > self._found_before
        self._found_before = self._following.found
        if self._deaf() or recovering:
            return QUICK_AUDIT_S
        return AUDIT_S * self._rng.uniform(0.8, 1.2)

    async def _audit(self) -> None:
        if self._following.idle:
            self._audited_ms = None  # who comes now begins at the head
            return
        self.audits += 1
        try:
            now_ms = await self._messages.time_ms()
            known_ms = self._audited_ms or self._following.begun_ms(now_ms)
            await self._audit_since(min(now_ms, known_ms) - LOOK_BACK_MS)
            await self._audit_in_turn()
        except StoreUnavailable as error:
            if not self._failed:
                log.warning("cannot look for what was missed yet: %s", error)
            self._failed = True
        else:
            self._audited_ms = now_ms
            self._failed = False

    async def _audit_since(self, since_ms: int) -> None:
        limit = ROWS_AT_ONCE
        while True:
            states = await self._messages.changed(since_ms, limit)
            self._following.hear_of(states)
            if len(states) < limit:
                return
            if states[-1].updated_at_ms == since_ms:
                limit *= 2  # all of one millisecond
            since_ms = states[-1].updated_at_ms

    async def _audit_in_turn(self) -> None:
        """Look up some of the conversations that are followed, whatever their stamps say."""
        followed = self._following.conversations()
        if self._turn >= len(followed):
            self._turn = 0
        some = followed[self._turn : self._turn + STATES_AN_AUDIT]
        self._turn += STATES_AN_AUDIT
        self._following.hear_of(await self._messages.states(some))
