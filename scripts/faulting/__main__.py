"""The command line of ``scripts/faults``."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.console import Console

from scripts.faulting.databases import Database, SqliteFile
from scripts.faulting.faults import FAULTS, possible
from scripts.faulting.maria import MariaDatabase
from scripts.faulting.report import as_data, show
from scripts.faulting.run import Outcome, Plan, Run
from scripts.faulting.site import Site

SEEDS = 1_000_000
DATABASES: dict[str, Callable[[Path], Database]] = {"sqlite": SqliteFile, "mariadb": MariaDatabase}


def names_of(_context: click.Context, _option: click.Parameter, text: str | None) -> Sequence[str]:
    """Read a list of faults with commas; all of them if there is none."""
    names = list(FAULTS) if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FAULTS:
            raise click.BadParameter(f"{name!r}; expected some of {', '.join(FAULTS)}")
    return names


def run(
    database: Database, folder: Path, plan: Plan, nodes: int, forwarders: int, console: Console
) -> Outcome:
    """Run a plan on a cluster in a folder of its own."""
    with Site(folder, database, nodes=nodes, forwarders=forwarders, wires=True) as site:
        for name, reason in site.missing.items():
            console.print(f"left out: {name}, {reason}")
        faults = possible(site, plan.faults)
        if not faults:
            raise click.UsageError(f"none of {', '.join(plan.faults)} can be had here")
        return asyncio.run(Run(site, plan._replace(faults=faults)).outcome())


@click.command()
@click.option("--minutes", default=1.0, show_default=True, type=click.FloatRange(min=0.0))
@click.option("--seed", type=int, help="Of what is broken; at random by default.")
@click.option("--database", default="sqlite", show_default=True, type=click.Choice(list(DATABASES)))
@click.option("--only", callback=names_of, help=f"Faults, with commas: {', '.join(FAULTS)}.")
@click.option(
    "--every", default=5.0, show_default=True, type=click.FloatRange(0.1), help="Seconds."
)
@click.option("--nodes", default=3, show_default=True, type=click.IntRange(2))
@click.option("--forwarders", default=2, show_default=True, type=click.IntRange(1))
@click.option("--clients", default=60, show_default=True, type=click.IntRange(1))
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures there.")
def main(
    minutes: float,
    seed: int | None,
    database: str,
    only: Sequence[str],
    every: float,
    nodes: int,
    forwarders: int,
    clients: int,
    file: Path | None,
) -> None:
    """Break a real cluster at random, and check that no message is lost, doubled or out of order.

    Exit code 1 if any promise was broken.
    """
    console = Console()
    seed = random.randrange(SEEDS) if seed is None else seed
    console.print(f"seed {seed}")
    plan = Plan(seed, minutes * 60, every, clients, faults=only)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        place = DATABASES[database](Path(folder))
        outcome = run(place, Path(folder), plan, nodes, forwarders, console)
    show(outcome, console)
    if file is not None:
        file.write_text(json.dumps(as_data(outcome), indent=2) + "\n")
    if not outcome.good:
        console.print(f"FAILED; again with --seed {seed}", style="red")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
