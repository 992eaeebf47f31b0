"""The command line of ``scripts/kills``."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table

from scripts.killing.scenario import SETTINGS, Scene
from tests.processes import ClusterProcesses

TOPOLOGIES = (("direct", 0), ("forwarder", 2))
VICTIMS = ("n5", "n4", "n3")
FREEZES = 3


class Figures(NamedTuple):
    """What came out, in seconds and one for each round; and who was told as offline wrongly."""

    hidden_s: list[float]
    offline_s: list[float]
    frozen_s: list[float]
    wrong: set[str]


async def measure(cluster: ClusterProcesses, kills: int) -> Figures:
    """Kill one node after the other, then freeze some."""
    scene = await Scene(cluster).start()
    victims = itertools.cycle(VICTIMS)
    hidden_s = [await scene.kill(next(victims)) for _ in range(kills)]
    await scene.agrees()
    frozen_s = [await scene.freeze(f"frozen{i}", next(victims)) for i in range(FREEZES)]
    await scene.agrees()
    figures = Figures(hidden_s, scene.offline_after_s(), frozen_s, scene.closed_wrongly())
    await scene.close()
    return figures


def show(found: dict[str, Figures], console: Console) -> None:
    """Print the table."""
    table = Table(title="Seconds until the last desk knows; median / most")
    for name in ("mesh", "killed: not online", "killed: offline", "frozen: not online", "wrong"):
        table.add_column(name, justify="right")
    for topology, one in found.items():
        times = (one.hidden_s, one.offline_s, one.frozen_s)
        cells = [f"{statistics.median(t):.2f} / {max(t):.2f}" for t in times]
        table.add_row(topology, *cells, str(len(one.wrong)))
    console.print(table)


@click.command()
@click.option(
    "--kills", default=20, show_default=True, type=click.IntRange(1), help="In each mesh."
)
def main(kills: int) -> None:
    """Kill and freeze nodes of a cluster of five, in both kinds of mesh."""
    found: dict[str, Figures] = {}
    for topology, forwarders in TOPOLOGIES:
        with (
            tempfile.TemporaryDirectory() as folder,
            ClusterProcesses(
                Path(folder), nodes=5, topology=topology, forwarders=forwarders, **SETTINGS
            ) as cluster,
        ):
            found[topology] = asyncio.run(measure(cluster, kills))
    show(found, Console())
    if any(one.wrong for one in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
