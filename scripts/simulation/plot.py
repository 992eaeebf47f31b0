"""The table of ``scripts/simulate`` as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from scripts.simulation.__main__ import Row


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw visibility, detection and traffic over the number of nodes."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - only who draws needs it

        mpl.use("Agg")
        from matplotlib import pyplot as plt  # noqa: PLC0415
    except ImportError:
        raise click.ClickException("--plot needs matplotlib: pip install matplotlib") from None
    figure, (visible, found, traffic) = plt.subplots(1, 3, figsize=(15, 4.5))
    clean = [row for row in rows if not row.case.loss]
    for direct, label in ((True, "direct"), (False, "forwarder")):
        some = sorted((row for row in clean if row.case.direct is direct), key=lambda r: r.case)
        nodes = [row.case.nodes for row in some]
        visible.plot(nodes, [row.quiet.visible.p99 for row in some], "o-", label=label)
        crashes = [row for row in some if row.crash is not None]
        at = [row.case.nodes for row in crashes]
        found.plot(
            at, [r.crash.unknown.p99 for r in crashes if r.crash], "o--", label=f"{label}: unknown"
        )
        found.plot(at, [r.crash.down.p99 for r in crashes if r.crash], "o-", label=f"{label}: down")
        traffic.plot(nodes, [row.quiet.bytes_per_second / 1000 for row in some], "o-", label=label)
    for axes, title, unit in (
        (visible, "join or leave visible everywhere, p99", "s"),
        (found, "crash found out, p99", "s"),
        (traffic, "received by a node", "kB/s"),
    ):
        axes.set(title=title, xlabel="nodes", ylabel=unit, xscale="log")
        axes.margins(y=0.1)
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
