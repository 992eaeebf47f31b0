"""The command line of ``scripts/bench``."""

from __future__ import annotations

import json
import resource
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

import click

from scripts.benchmark import report
from scripts.benchmark.scenarios import SCENARIOS, Settings
from scripts.benchmark.servers import ServerFailed

_DEFAULTS = Settings()
_QUICK = Settings(seconds=1.0, rates=(500, 2000), connects=500, agents=50)
_ON_DISK = Path("/var/tmp")  # kept between reboots, so never in memory, as /tmp may be


def _chosen(_context: click.Context, _option: click.Parameter, value: str | None) -> list[str]:
    names = list(SCENARIOS) if value is None else [name.strip() for name in value.split(",")]
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(SCENARIOS)}")
    return names


def _numbers(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> list[int] | None:
    if value is None:
        return None
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in value.split(",")]
    if not all(numbers):
        raise click.BadParameter(f"expected numbers above 0 as 500,1000, got {value!r}")
    return numbers


@click.command()
@click.option("--only", callback=_chosen, metavar="NAMES", help=f"Some of {','.join(SCENARIOS)}.")
@click.option("--runs", type=click.IntRange(1), help="Measure so often; medians are shown. [3]")
@click.option("--seconds", type=click.FloatRange(0.1), help="Of each phase of load. [5]")
@click.option("--messages", type=click.IntRange(1), help="Of each phase of load, at most.")
@click.option("--rates", callback=_numbers, help="Messages a second. [500,1000,2000,5000]")
@click.option("--connects", type=click.IntRange(1, 9000), help="Idle sessions. [2000]")
@click.option("--agents", type=click.IntRange(1), help="Sessions of the fan-out. [200]")
@click.option("--topology", type=click.Choice(["direct", "forwarder"]), default="direct")
@click.option("--client-ids/--no-client-ids", default=True, help="Whether to ask for ACKs.")
@click.option("--pin", is_flag=True, help="One core for the clients, the others for the servers.")
@click.option("--quick", is_flag=True, help="One short run: for a look, not for figures.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="For databases.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(
    only: list[str],
    runs: int | None,
    quick: bool,
    folder: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure a cluster of two nodes on this machine, and bare Tornado next to it."""
    given = {name: value for name, value in options.items() if value is not None}
    settings = (_QUICK if quick else _DEFAULTS)._replace(**given)
    _raise_file_limit()
    signal.signal(signal.SIGTERM, _leave)
    measured: list[report.Run] = []
    parent = folder or (_ON_DISK if _ON_DISK.is_dir() else None)
    with tempfile.TemporaryDirectory(prefix="zmqchat-bench-", dir=parent) as name:
        machine = report.machine(Path(name))
        for number in range(runs or (1 if quick else 3)):
            run: report.Run = {}
            for scenario in only:
                click.echo(f"run {number + 1}: {scenario}", err=True)
                try:
                    run |= SCENARIOS[scenario](settings, Path(name))
                except ServerFailed as error:
                    raise click.ClickException(str(error)) from None
            report.add_ratios(run)
            measured.append(run)
    result = report.summary(measured)
    if as_json:
        print(json.dumps(_for_programs(result, settings, machine), indent=2))
    else:
        print(", ".join(f"{key} {value}" for key, value in machine.items()), end="\n\n")
        print("\n".join(report.table(result)))
    if wrong := report.faults(result):
        print("\n".join(wrong), file=sys.stderr)
        sys.exit(1)


def _for_programs(
    result: report.Summary, settings: Settings, machine: dict[str, str | int | float]
) -> dict[str, object]:
    figures = {
        scenario: {figure: spread._asdict() for figure, spread in spreads.items()}
        for scenario, spreads in result.items()
    }
    return {
        "machine": machine,
        "settings": settings._asdict(),
        "figures": figures,
        "faults": report.faults(result),
    }


def _raise_file_limit() -> None:
    """Allow as many open connections as the system lets this process and its children have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _leave(number: int, _frame: FrameType | None) -> None:
    """End by way of every ``with`` block, so that no server stays behind."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
