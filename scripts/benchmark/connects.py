"""Many idle sessions on one server: what opening one costs, and what holding it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scripts.benchmark.clients import Client, customer_name
from scripts.benchmark.load import Figures, Meter, broken, connect_all, disconnect_all
from scripts.benchmark.servers import Process

_WARM_UP = 100  # sessions opened before, so that what every process needs once is there
_QUIET_S = 1.0  # until gathered presence is out and memory does not move any more


async def open_sessions(processes: Sequence[Process], url: str, count: int) -> Figures:
    """Open sessions on the first of the processes, whose ``ws://host:port`` is given, and wait.

    CPU time is that of all the processes; the first one's alone and its memory stand beside it.
    """
    server = processes[0]
    warm = [Client() for _ in range(_WARM_UP)]
    clients = [Client() for _ in range(count)]
    await connect_all(warm, lambda place: _url(url, count + place))
    await asyncio.sleep(_QUIET_S)
    memory_kib = server.rss_kib()
    meter = Meter(processes)
    await connect_all(clients, lambda place: _url(url, place))
    opened = meter.figures(count, "connects")
    await asyncio.sleep(_QUIET_S)
    spent = meter.cpu_s()
    figures = {
        "connects": count,
        "connects_per_s": opened["connects_per_s"],
        "cpu_ms_per_connect": 1000 * sum(spent.values()) / count,
        "cpu_ms_per_connect_there": 1000 * spent[server.name] / count,
        "kib_per_connection": (server.rss_kib() - memory_kib) / count,
        "generator_cpu_percent": opened["generator_cpu_percent"],
        **broken([*warm, *clients]),
    }
    await disconnect_all([*warm, *clients])
    return figures


def _url(server_url: str, place: int) -> str:
    return f"{server_url}/websocket/mq/chat/{customer_name(place)}"
