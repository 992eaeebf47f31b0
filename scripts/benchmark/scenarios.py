"""What is measured: each scenario starts fresh servers, loads them and returns its figures."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from scripts.benchmark import connects, fanout, relay
from scripts.benchmark.load import Bound, Figures
from scripts.benchmark.servers import Cluster, Process, baseline, cluster, pin

WINDOWED = (10, 20)  # customers, messages in flight of each
WIDE = (200, 1)
ECHO_WIDE = (100, 1)
PACED_CUSTOMERS = 100
_WARM_UP = 0.2  # the part of a phase's seconds and messages that goes before it uncounted

Result = dict[str, Figures]


class Settings(NamedTuple):
    """What the command line may change."""

    seconds: float = 5.0  # of each phase of load
    messages: int = 10_000_000  # of each phase, at most
    topology: str = "direct"
    client_ids: bool = True  # whether messages ask for an ACK
    rates: Sequence[int] = (500, 1000, 2000, 5000)  # messages a second
    connects: int = 2000
    agents: int = 200  # sessions of the desk in the fan-out
    pin: bool = False

    @property
    def bound(self) -> Bound:
        """Of the phase that counts."""
        return Bound(self.seconds, self.messages)

    @property
    def warm_up(self) -> Bound:
        """Of the phase before it."""
        return Bound(self.seconds * _WARM_UP, math.ceil(self.messages * _WARM_UP))


def echo(settings: Settings, folder: Path) -> Result:
    """A bare Tornado echo under the same clients: what the machine can do."""
    result = {}
    for name, load in (("echo_windowed", WINDOWED), ("echo_wide", ECHO_WIDE)):
        with _baseline("echo", settings, folder) as (process, url):
            result[name] = _run(relay.echo(process, url, load, settings.warm_up, settings.bound))
    return result


def windowed(settings: Settings, folder: Path) -> Result:
    """Ten customers with twenty messages in flight each."""
    return {"windowed": _in_flight(settings, folder, WINDOWED)}


def wide(settings: Settings, folder: Path) -> Result:
    """Two hundred customers with one message in flight each."""
    return {"wide": _in_flight(settings, folder, WIDE)}


def fixed_rates(settings: Settings, folder: Path) -> Result:
    """A hundred customers who together write at a fixed rate."""
    result = {}
    for rate in settings.rates:
        with _cluster(settings, folder) as servers:
            result[f"rate_{rate}"] = _run(
                relay.keep_pace(
                    servers,
                    PACED_CUSTOMERS,
                    rate,
                    settings.warm_up,
                    settings.bound,
                    client_ids=settings.client_ids,
                )
            )
    return result


def connect(settings: Settings, folder: Path) -> Result:
    """Idle sessions on one of two nodes, and on a bare handler with pings."""
    with _cluster(settings, folder) as servers:
        ours = _run(connects.open_sessions(servers.processes, servers.urls[0], settings.connects))
    with _baseline("pings", settings, folder) as (process, url):
        bare = _run(connects.open_sessions([process], url, settings.connects))
    return {"connects": ours, "bare_connects": bare}


def fan_out(settings: Settings, folder: Path) -> Result:
    """One customer, many sessions of the desk on the other node."""
    with _cluster(settings, folder) as servers:
        figures = _run(
            fanout.fan_out(
                servers,
                settings.agents,
                settings.warm_up,
                settings.bound,
                client_ids=settings.client_ids,
            )
        )
    return {"fanout": figures}


SCENARIOS: dict[str, Callable[[Settings, Path], Result]] = {
    "echo": echo,
    "windowed": windowed,
    "wide": wide,
    "rates": fixed_rates,
    "connects": connect,
    "fanout": fan_out,
}


def _in_flight(settings: Settings, folder: Path, load: tuple[int, int]) -> Figures:
    with _cluster(settings, folder) as servers:
        return _run(
            relay.keep_in_flight(
                servers, load, settings.warm_up, settings.bound, client_ids=settings.client_ids
            )
        )


@contextmanager
def _cluster(settings: Settings, folder: Path) -> Iterator[Cluster]:
    own = folder / "cluster"
    own.mkdir()  # a database of its own each time
    try:
        with cluster(settings.topology, own) as servers:
            if settings.pin:
                pin(servers.processes)
            yield servers
            for process in servers.processes:
                process.check_alive()
    finally:
        shutil.rmtree(own)


@contextmanager
def _baseline(kind: str, settings: Settings, folder: Path) -> Iterator[tuple[Process, str]]:
    with baseline(kind, folder) as (process, url):
        if settings.pin:
            pin([process])
        yield process, url
        process.check_alive()


def _run(load: Coroutine[Any, Any, Figures]) -> Figures:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(load)
