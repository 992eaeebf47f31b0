"""What a run tells in the end: a table for people, and the same as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.faulting.run import QUIET_S, Broken, Outcome

SHOWN = 5  # examples of each kind of mistake


def as_data(outcome: Outcome) -> dict[str, Any]:
    """Return the figures of a run, times in seconds."""
    history, verdict = outcome.history, outcome.verdict
    delays = sorted(history.delays().values()) or [0.0]
    waits = sorted(
        acked_at - history.sent_at[text] for text, acked_at in history.acked_at.items()
    ) or [0.0]
    return {
        "seed": outcome.plan.seed,
        "seconds": outcome.plan.seconds,
        "sent": len(history.sent),
        "acknowledged": len(history.acked_at),
        "retried": history.retried,
        "duplicates": history.duplicates,
        "connections_ended": dict(sorted(history.ends.items())),
        "faults": _by_fault(outcome),
        "lost": {where.value: count for where, count in verdict.lost_by_place().items()},
        "doubled": len(verdict.doubled),
        "out_of_order": len(verdict.out_of_order),
        "unexpected": len(verdict.unexpected),
        "holes": len(verdict.holes),
        "unanswered": len(verdict.unanswered),
        "refused": len(verdict.refused),
        "ack_after_s": _spread(waits),
        "shown_after_ack_s": _spread(delays),
        "caught_up_after_s": outcome.caught_up_s,
        "good": outcome.good,
    }


def _by_fault(outcome: Outcome) -> dict[str, dict[str, float]]:
    """Tell of each kind of fault how often it came, and the slowest messages of its time."""
    history = outcome.history
    acks = {text: at - history.sent_at[text] for text, at in history.acked_at.items()}
    delays = history.delays()
    kinds: dict[str, list[Broken]] = {}
    for broken in outcome.broken:
        kinds.setdefault(broken.fault, []).append(broken)
    return {
        kind: {
            "count": len(some),
            "slowest_ack_s": max(_slowest(one, history.sent_at, acks) for one in some),
            "slowest_shown_s": max(_slowest(one, history.acked_at, delays) for one in some),
        }
        for kind, some in sorted(kinds.items())
    }


def _slowest(broken: Broken, since: dict[str, float], took: dict[str, float]) -> float:
    """The longest that took anything which began while something was broken."""
    within = (
        took[text]
        for text, at in since.items()
        if broken.began <= at <= broken.ended and text in took
    )
    return round(max(within, default=0.0), 3)


def _spread(times: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(times), 3),
        "p99": round(times[int(0.99 * (len(times) - 1))], 3),
        "most": round(times[-1], 3),
    }


def show(outcome: Outcome, console: Console) -> None:
    """Print the figures, and examples of whatever is wrong."""
    data = as_data(outcome)
    table = Table("fault", "times", "sent to ack", "ack to shown", title="Broken, and the slowest")
    for kind, row in data["faults"].items():
        times = (f"{row[name]:.2f} s" for name in ("slowest_ack_s", "slowest_shown_s"))
        table.add_row(kind, str(row["count"]), *times)
    console.print(table)
    table = Table("what", "figure", title="What came of it")
    for name, value in data.items():
        if name != "faults":
            table.add_row(name.replace("_", " "), _in_words(value))
    console.print(table)
    for broken in outcome.broken if not outcome.good else ():
        at = broken.began - outcome.began
        took = broken.ended - broken.began
        console.print(f"{at:6.1f} s, for {took:.1f} s: {broken.fault} {broken.victim}")
    for line in complaints(outcome):
        console.print(line, style="red", markup=False, highlight=False)


def complaints(outcome: Outcome) -> Iterable[str]:
    """Tell what is wrong, with a few examples of each kind."""
    if outcome.caught_up_s is None:
        yield f"somebody still missed something {QUIET_S:g} s after everything was mended"
    for kind, found in outcome.verdict._asdict().items():
        for example in found[:SHOWN]:
            yield f"{kind.replace('_', ' ')}: {example}"
        if len(found) > SHOWN:
            yield f"{kind.replace('_', ' ')}: and {len(found) - SHOWN} more"


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {figure}" for name, figure in value.items()) or "none"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
