"""How load is put on servers: sessions opened, messages kept in flight or paced, all of it awaited.

Everything is bounded in time: a phase by its seconds, the wait for stragglers by five seconds
without any progress.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from scripts.benchmark.clients import PROBE, Client, Customer, customer_name
from scripts.benchmark.servers import Cluster, Process, ServerFailed, Usage

Figures = dict[str, float]

CONNECTS_AT_ONCE = 50
_POLL_S = 0.002
_TICK_S = 0.001  # of a fixed rate: what is due since the last tick goes out at once
_STALL_S = 5.0
_LATE_S = 0.1  # in which a second copy of the last messages would come
_PROBES = 100
_PROBE_WAIT_S = 0.1


class Sender(Protocol):
    """A client that writes numbered messages."""

    number: int

    def send_next(self) -> int:
        """Send the next message; return its counter."""


class Bound(NamedTuple):
    """How long a phase of load lasts, and how many messages it sends at most."""

    seconds: float
    messages: int


class Meter:
    """Time and CPU time from its making on."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes
        self._before = Usage.read(processes)
        self._own_cpu_s = time.process_time()

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each process until now."""
        return Usage.read(self._processes).since(self._before)

    def figures(self, count: int, what: str = "messages") -> Figures:
        """What ``count`` of something took until now, in all and in each process."""
        usage = Usage.read(self._processes)
        spent = usage.since(self._before)
        elapsed = usage.at - self._before.at
        generator = time.process_time() - self._own_cpu_s
        return {
            what: count,
            f"{what}_per_s": count / elapsed,
            f"{what}_per_cpu_s": count / sum(spent.values()),
            "generator_cpu_percent": 100 * generator / elapsed,
            **{f"cpu_percent_{name}": 100 * cpu / elapsed for name, cpu in spent.items()},
        }


class Flow:
    """Keeps a number of messages in flight for each sender: one comes back, the next goes out."""

    def __init__(self, in_flight: int) -> None:
        self.senders: dict[int, Sender] = {}
        self._in_flight = in_flight
        self._left = 0  # messages that may still go out in this phase
        self._closed = asyncio.Event()

    def echoed(self, number: int, _counter: int) -> None:
        """Send the next message of this sender, unless the phase is over."""
        if self._left:
            self._left -= 1
            self.senders[number].send_next()
            if not self._left:
                self._closed.set()

    async def run(self, bound: Bound) -> None:
        """Send for some seconds, and at most so many messages."""
        self._left = bound.messages
        self._closed.clear()
        for _ in range(self._in_flight):
            for number in self.senders:
                self.echoed(number, 0)
        try:
            async with asyncio.timeout(bound.seconds):
                await self._closed.wait()
        except TimeoutError:
            self._left = 0


async def pace(
    senders: Sequence[Customer], rate: int, count: int, send: Callable[[Customer], None]
) -> None:
    """Send ``count`` messages, ``rate`` a second, each sender in turn, whatever comes back."""
    turns = itertools.cycle(senders)
    start = time.perf_counter()
    sent = 0
    while sent < count:
        due = min(count, int((time.perf_counter() - start) * rate) + 1)
        for sender in itertools.islice(turns, due - sent):
            send(sender)
        sent = due
        await asyncio.sleep(_TICK_S)


async def settle(missing: Callable[[], int]) -> None:
    """Wait until nothing is missing, or five seconds have brought nothing more."""
    before = missing()
    deadline = time.monotonic() + _STALL_S
    while (now := missing()) > 0 and time.monotonic() < deadline:
        if now != before:
            before, deadline = now, time.monotonic() + _STALL_S
        await asyncio.sleep(_POLL_S)


async def await_copies() -> None:
    """Wait for what nobody waits for: a second copy of something."""
    await asyncio.sleep(_LATE_S)


async def connect_all(clients: Iterable[Client], url_of: Callable[[int], str]) -> None:
    """Open all sessions, fifty at a time; ``url_of`` takes the place of a client in the row."""
    row = enumerate(clients)
    while batch := list(itertools.islice(row, CONNECTS_AT_ONCE)):
        await asyncio.gather(*(client.connect(url_of(place)) for place, client in batch))


async def disconnect_all(clients: Iterable[Client]) -> None:
    """Cut all sessions that are still open."""
    for client in clients:
        if client.connected:
            client.transport.disconnect(graceful=False)
            await client.transport.wait_disconnected()


async def await_mesh(servers: Cluster, heard: Callable[[], bool]) -> None:
    """Write from node a until somebody on node b has heard it, so that no link is young any more.

    Raise `ServerFailed` after ten seconds. No figure counts these messages.
    """
    probe = Customer(PROBE, client_ids=False)
    await probe.connect(servers.session_url(0, customer_name(PROBE)))
    for _ in range(_PROBES):
        probe.send_next()
        await asyncio.sleep(_PROBE_WAIT_S)
        if heard():
            break
    else:
        raise ServerFailed(f"node b heard nothing of node a in {_PROBES * _PROBE_WAIT_S:g} s")
    await disconnect_all([probe])


def broken(clients: Sequence[Client]) -> Figures:
    """Answers of ERROR, and sessions that ended by themselves; zero when all is well."""
    return {
        "errors": sum(len(client.errors) for client in clients),
        "disconnects": sum(not client.connected for client in clients),
    }
