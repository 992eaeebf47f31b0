"""Medians of several runs, the ratios between scenarios, and how all that is shown."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.benchmark.load import Figures

Run = dict[str, Figures]  # by scenario

# What has to be zero; anything else makes the whole measurement worthless.
FAULTS = ("lost", "doubled", "out_of_order", "unacknowledged", "errors", "disconnects")
_FSYNCS = 50


class Ratio(NamedTuple):
    """A figure of one scenario divided by the same figure of another, in the same run."""

    scenario: str
    figure: str
    yardstick: str

    @property
    def name(self) -> str:
        """What the ratio is called among the figures of its scenario."""
        return f"{self.figure}_to_{self.yardstick}"


RATIOS = (
    Ratio("windowed", "messages_per_cpu_s", "echo_windowed"),
    Ratio("wide", "messages_per_cpu_s", "echo_wide"),
    Ratio("connects", "cpu_ms_per_connect", "bare_connects"),
    Ratio("connects", "cpu_ms_per_connect_there", "bare_connects"),
    Ratio("connects", "kib_per_connection", "bare_connects"),
)


class Spread(NamedTuple):
    """A figure over all runs."""

    median: float
    least: float
    most: float


Summary = dict[str, dict[str, Spread]]  # by scenario and figure


def add_ratios(run: Run) -> None:
    """Add the ratios that can be told from the scenarios of this run."""
    for ratio in RATIOS:
        ours = run.get(ratio.scenario, {}).get(ratio.figure)
        theirs = run.get(ratio.yardstick, {}).get(ratio.figure)
        if ours is not None and theirs:
            run[ratio.scenario][ratio.name] = ours / theirs


def summary(runs: Sequence[Run]) -> Summary:
    """Median, least and most of every figure; all runs measured the same scenarios."""
    return {
        scenario: {figure: _spread([run[scenario][figure] for run in runs]) for figure in figures}
        for scenario, figures in runs[0].items()
    }


def faults(result: Summary) -> list[str]:
    """One line for each kind of fault that happened in any run."""
    return [
        f"{scenario}: {figure} {spread.least:g} to {spread.most:g}, expected 0"
        for scenario, figures in result.items()
        for figure, spread in figures.items()
        if figure in FAULTS and (spread.least, spread.most) != (0, 0)
    ]


def table(result: Summary) -> Iterable[str]:
    """The lines for people; of faults the most that any run had."""
    for scenario, figures in result.items():
        yield f"{scenario:<44}{'median':>12}{'least':>12}{'most':>12}"
        for figure, spread in figures.items():
            if figure not in FAULTS:
                cells = "".join(f"{_number(value):>12}" for value in spread)
                yield f"  {_words(figure):<42}{cells}"
        counts = (f"{_words(name)} {figures[name].most:g}" for name in FAULTS if name in figures)
        yield f"  {', '.join(counts)}"
        yield ""


def machine(folder: Path) -> dict[str, str | int | float]:
    """What the figures were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "load_before": round(os.getloadavg()[0], 2),  # what else the machine was busy with
        "fsync_ms": _fsync_ms(folder),
    }


def _spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def _number(value: float) -> str:
    if value == int(value) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if value >= 100 else f"{value:,.2f}"


def _words(figure: str) -> str:
    return figure.replace("_", " ")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _fsync_ms(folder: Path) -> float:
    """The median time of writing one database page through to the disk, in milliseconds."""
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(_FSYNCS):
            file.write(bytes(4096))
            start = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return round(1000 * statistics.median(times), 3)
