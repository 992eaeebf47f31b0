"""All faults by their names."""

from __future__ import annotations

from collections.abc import Iterable

from scripts.faulting import database_faults, link_faults, process_faults
from scripts.faulting.scene import Fault
from scripts.faulting.site import Site

FAULTS: dict[str, Fault] = {
    "kill-node": process_faults.kill_node,
    "freeze-node": process_faults.freeze_node,
    "silent-death": process_faults.silent_death,
    "kill-forwarder": process_faults.kill_forwarder,
    "freeze-forwarder": process_faults.freeze_forwarder,
    "cut-link": link_faults.cut_link,
    "isolate-node": link_faults.isolate_node,
    "deafen-node": link_faults.deafen_node,
    "black-hole": link_faults.black_hole,
    "pull-wire": link_faults.pull_wire,
    "no-mesh": link_faults.no_mesh,
    "burst": link_faults.burst,
    "drop-pages": link_faults.drop_pages,
    "lock-database": database_faults.lock_database,
    "full-disk": database_faults.full_disk,
}
SERVER_FAULTS: dict[str, Fault] = {
    "kill-database": database_faults.kill_database,
    "freeze-database": database_faults.freeze_database,
    "cut-database": database_faults.cut_database,
    "hold-database": database_faults.hold_database,
}
FAULTS |= SERVER_FAULTS


def possible(site: Site, names: Iterable[str]) -> list[str]:
    """Leave out what this site cannot have."""
    missing = {*site.missing, *(SERVER_FAULTS if site.database.server is None else ())}
    return [name for name in names if name not in missing]
