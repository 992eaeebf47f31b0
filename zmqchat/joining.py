"""A node that starts waits until its links work both ways: `core.joining`, with clock and bus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from zmqchat.core import joining as core
from zmqchat.mesh.bus import Bus
from zmqchat.wire.mesh import Control, Delta, Header, Snapshot


class Joining:
    """Probes the nodes that ``expected`` tells, asked again and again, until all have answered.

    ``in_step`` tells whether all is known that a node has told of its sessions. ``incarnation`` is
    that of the bus' codec.
    """

    def __init__(
        self,
        bus: Bus,
        incarnation: int,
        expected: Callable[[], Iterable[int]],
        in_step: Callable[[int], bool],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._rules = core.Joining(incarnation, self._loop.time())
        self._bus = bus
        self._expected = expected
        self._in_step = in_step
        self._heard = asyncio.Event()
        self._finished = False

    def missing(self) -> list[int]:
        """Tell whose answers are waited for, or were in vain."""
        return self._rules.missing()

    def on_control(self, header: Header, control: Control) -> None:
        """Take a frame of a peer."""
        if not self._finished and (
            self._rules.on_control(header, control) or isinstance(control, Delta | Snapshot)
        ):
            self._heard.set()

    async def finish(self) -> list[int]:
        """Probe until all have answered or `core.MOST_S` are over; return who did not answer."""
        while True:
            expected = list(self._expected())
            self._rules.expect(expected, (one for one in expected if not self._in_step(one)))
            now = self._loop.time()
            if self._rules.is_over(now):
                break
            for probe, node in self._rules.probes(now):
                self._bus.publish_control(probe, node)
            await self._wait()
        self._finished = True
        return self._rules.missing()

    async def _wait(self) -> None:
        self._heard.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._rules.next):
                await self._heard.wait()
