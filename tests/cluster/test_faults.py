"""A short run of everything that can break; `scripts/faults` runs for as long as it is asked to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from scripts.faulting.databases import Database, SqliteFile
from scripts.faulting.faults import FAULTS, SERVER_FAULTS, possible
from scripts.faulting.maria import MariaDatabase
from scripts.faulting.report import complaints
from scripts.faulting.run import Outcome, Plan, Run
from scripts.faulting.site import Site
from tests.databases import MISSING, is_installed

pytestmark = pytest.mark.cluster

SEED = 7


def outcome_of(plan: Plan, database: Database, folder: Path) -> Outcome:
    """Run a plan with what is possible here, and check that all is well."""
    with Site(folder, database, wires=True) as site:
        faults = possible(site, plan.faults)
        outcome = asyncio.run(Run(site, plan._replace(faults=faults)).outcome())
    assert outcome.good, "\n".join([f"seed {plan.seed}", *complaints(outcome)])
    return outcome


def test_nothing_is_lost_whatever_breaks(tmp_path: Path) -> None:
    """Nodes, forwarders, links and the disk fail; each message is shown to all, once, in order."""
    plan = Plan(SEED, seconds=45, every_s=2.0, customers=30, burst=50, faults=tuple(FAULTS))
    outcome = outcome_of(plan, SqliteFile(tmp_path), tmp_path)
    assert len({broken.fault for broken in outcome.broken}) >= 5
    assert len(outcome.history.acked_at) > 500


@pytest.mark.skipif(not is_installed(), reason=MISSING)
def test_nothing_is_lost_when_the_database_server_breaks(tmp_path: Path) -> None:
    """It is killed, frozen, locked and out of reach of a node, with nodes that die meanwhile."""
    faults = (*SERVER_FAULTS, "lock-database", "silent-death")
    plan = Plan(SEED, seconds=15, every_s=1.5, customers=20, faults=faults)
    outcome = outcome_of(plan, MariaDatabase(tmp_path), tmp_path)
    assert len({broken.fault for broken in outcome.broken}) >= 3
    assert len(outcome.history.acked_at) > 50
