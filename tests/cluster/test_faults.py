"""A short run of everything that can break; `scripts/faults` runs for as long as it is asked to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scripts.faulting.databases import SqliteFile
from scripts.faulting.faults import FAULTS, possible
from scripts.faulting.report import complaints
from scripts.faulting.run import Plan, Run
from scripts.faulting.site import Site

pytestmark = pytest.mark.cluster

SEED = 7


def test_nothing_is_lost_whatever_breaks(tmp_path: Path) -> None:
    """Nodes, forwarders, links and the disk fail; each message is shown to all, once, in order."""
    plan = Plan(SEED, seconds=30, every_s=2.0, customers=30, burst=50)
    with Site(tmp_path, SqliteFile(tmp_path), wires=True) as site:
        faults = possible(site, FAULTS)
        outcome = asyncio.run(Run(site, plan._replace(faults=faults)).outcome())
    assert outcome.good, "\n".join(complaints(outcome))
    assert len({broken.fault for broken in outcome.broken}) >= 5
    assert len(outcome.history.acked_at) > 500
