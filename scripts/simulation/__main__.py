"""The command line of ``scripts/simulate``."""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table

from scripts.simulation import plot
from scripts.simulation.measure import Crash, Quiet, crash, make_world, mended, quiet
from scripts.simulation.world import SimulationError, World
from zmqchat.core.gossip import interval_of

DIRECT_MOST = 50  # nodes in a direct mesh; above that forwarders are the better choice
TROUBLE_S = 30.0
TROUBLE_MOST = 100  # nodes, with faults at random: each is checked at every step


class Case(NamedTuple):
    """One row: a cluster, and how long it is watched."""

    nodes: int
    loss: float
    direct: bool
    seconds: float


class Row(NamedTuple):
    """What came out."""

    case: Case
    quiet: Quiet
    crash: Crash | None
    mended_s: float | None


QUICK = [
    *(Case(nodes, 0.0, nodes <= DIRECT_MOST, 20.0) for nodes in (3, 10, 100)),
    *(Case(nodes, 0.0, direct=False, seconds=20.0) for nodes in (3, 10)),
    *(Case(nodes, 0.3, direct=False, seconds=60.0) for nodes in (3, 10, 100)),
    Case(10, 0.5, direct=False, seconds=60.0),
]
FULL = [
    *(Case(nodes, 0.0, direct=True, seconds=60.0) for nodes in (2, 3, 10, 50)),
    *(Case(nodes, 0.0, direct=False, seconds=60.0) for nodes in (3, 10, 100, 250, 1000)),
    *(Case(nodes, 0.3, direct=False, seconds=300.0) for nodes in (3, 10, 100, 1000)),
    *(Case(nodes, 0.5, direct=False, seconds=300.0) for nodes in (10, 100)),
]


def run(case: Case, seed: int) -> Row:
    """Simulate one case, each part in a world of its own."""
    flow = quiet(_world(case, seed), case.seconds)
    if case.loss:
        return Row(case, flow, None, None)
    found = crash(_world(case, seed))
    mended_s = mended(_world(case, seed), TROUBLE_S) if case.nodes <= TROUBLE_MOST else None
    return Row(case, flow, found, mended_s)


def _world(case: Case, seed: int) -> World:
    gc.unfreeze()
    gc.collect()
    return make_world(case.nodes, seed, direct=case.direct, loss=case.loss)


def show(rows: list[Row], console: Console) -> None:
    """Print the table."""
    table = Table(title="Simulated gossip; seconds, p50 / p99 / max")
    for name in (
        "nodes",
        "T",
        "mesh",
        "loss",
        "watched",
        "false deaths",
        "join or leave visible",
        "crash: unknown",
        "crash: down",
        "views equal after trouble",
        "B/s a node",
    ):
        table.add_column(name, justify="right")
    for case, flow, found, mended_s in rows:
        table.add_row(
            str(case.nodes),
            f"{interval_of(case.nodes):g}",
            "direct" if case.direct else "forwarder",
            f"{case.loss:.0%}",
            f"{case.seconds:g} s",
            str(flow.false_deaths),
            _three(flow.visible),
            _three(found.unknown) if found else "",
            _three(found.down) if found else "",
            f"{mended_s:.2f}" if mended_s is not None else "",
            f"{flow.bytes_per_second:,.0f}",
        )
    console.print(table)


def _three(values: tuple[float, float, float]) -> str:
    return " / ".join(f"{value:.3g}" for value in values)


@click.command()
@click.option("--full", is_flag=True, help="Up to 1000 nodes and 300 s: takes about an hour.")
@click.option("--nodes", type=click.IntRange(2, 1000), help="Only a cluster of so many nodes.")
@click.option("--loss", type=click.FloatRange(0, 0.9), default=0.0, help="With --nodes. [0]")
@click.option("--seconds", type=click.FloatRange(1), default=20.0, help="With --nodes. [20]")
@click.option("--direct", is_flag=True, help="With --nodes: without forwarders.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same is the same run.")
@click.option("--plot", "plot_to", type=click.Path(path_type=Path), help="Draw it to a file.")
def main(
    *,
    full: bool,
    nodes: int | None,
    loss: float,
    seconds: float,
    direct: bool,
    seed: int,
    plot_to: Path | None,
) -> None:
    """Simulate clusters and print how fast and how right their presence is."""
    console = Console(width=160 if not sys.stdout.isatty() else None)
    cases = FULL if full else QUICK
    if nodes is not None:
        cases = [Case(nodes, loss, direct, seconds)]
    rows = []
    for case in cases:
        started = time.monotonic()
        try:
            rows.append(run(case, seed))
        except SimulationError as error:
            raise click.ClickException(str(error)) from None
        console.print(f"{case.nodes} nodes done in {time.monotonic() - started:.0f} s", style="dim")
    show(rows, console)
    if plot_to is not None:
        plot.draw(rows, plot_to)
        console.print(f"drawn to {plot_to}")


if __name__ == "__main__":
    main()
