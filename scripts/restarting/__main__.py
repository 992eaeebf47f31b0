"""The command line of ``scripts/restarts``."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from scripts.killing.scenario import SETTINGS, Scene
from scripts.restarting.forwarder import Absence, take_away
from scripts.restarting.rolling import Crowd, Rolled
from tests.processes import ClusterProcesses

TOPOLOGIES = (("direct", 0), ("forwarder", 2))


@contextmanager
def _cluster(nodes: int, topology: str, forwarders: int) -> Iterator[ClusterProcesses]:
    with (
        tempfile.TemporaryDirectory() as folder,
        ClusterProcesses(
            Path(folder), nodes=nodes, topology=topology, forwarders=forwarders, **SETTINGS
        ) as cluster,
    ):
        yield cluster


async def _take_away(cluster: ClusterProcesses, seconds: float) -> Absence:
    scene = await Scene(cluster).start()
    found = await take_away(scene, seconds)
    await scene.close()
    return found


async def _roll(cluster: ClusterProcesses, clients: int) -> Rolled:
    crowd = Crowd(cluster, clients)
    await crowd.start()
    found = await crowd.roll()
    await crowd.stop()
    return found


def show(absence: Absence, rolled: dict[str, Rolled], console: Console) -> None:
    """Print the tables."""
    table = Table(title="The only forwarder: seconds until the last desk knows")
    for name in ("others unknown", "back: all online", "back: who left offline", "wrong"):
        table.add_column(name, justify="right")
    times = (absence.unknown_s, absence.whole_s, absence.left_s)
    table.add_row(*(f"{seconds:.2f}" for seconds in times), str(len(absence.wrong)))
    console.print(table)
    table = Table(title="Rolling restart: seconds from the loss of a socket to the next connection")
    for name in ("mesh", "losses", "median", "most", "mistakes at desks"):
        table.add_column(name, justify="right")
    for topology, one in rolled.items():
        of = one.outages_s
        figures = (f"{statistics.median(of):.2f}", f"{max(of):.2f}", str(len(one.mistakes)))
        table.add_row(topology, str(len(of)), *figures)
    console.print(table)
    for one in rolled.values():
        for mistake in one.mistakes:
            console.print(mistake)


@click.command()
@click.option("--away", default=30.0, show_default=True, help="Seconds without the forwarder.")
@click.option("--clients", default=500, show_default=True, type=click.IntRange(3))
def main(away: float, clients: int) -> None:
    """Take the only forwarder away; restart three nodes under clients, in both kinds of mesh."""
    with _cluster(2, "forwarder", 1) as cluster:
        absence = asyncio.run(_take_away(cluster, away))
    rolled = {}
    for topology, forwarders in TOPOLOGIES:
        with _cluster(3, topology, forwarders) as cluster:
            rolled[topology] = asyncio.run(_roll(cluster, clients))
    show(absence, rolled, Console())
    if absence.wrong or any(one.mistakes for one in rolled.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
