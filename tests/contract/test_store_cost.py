"""What a store promises of its cost: it does not grow with what is stored."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.contract.stores import Place, draft, in_loop, opened, send
from zmqchat.store.batch import Batch
from zmqchat.store.database import Store
from zmqchat.store.dialect import dialect_of
from zmqchat.store.jobs import Append, Job, LogIn, Mark
from zmqchat.store.ports import Outcome, Side, Stored

ROUNDS = 15
BATCH = 200


class WatchedCursor:
    """A cursor that keeps what it is asked."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.asked: list[tuple[str, Any]] = []

    def execute(self, sql: str, values: Any = ()) -> None:
        """Keep a statement and run it."""
        self.asked.append((sql, values))
        self._cursor.execute(sql, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def some_jobs(count: int) -> list[Job]:
    """Drafts with client ids and epochs in a few conversations, some read marks, and logins."""
    drafts = [
        draft(f"c{n % 20 + 1}", "a new message", client_id=f"x{n}", login_epoch=1)
        for n in range(count)
    ]
    jobs: list[Job] = [Append(message, print, 0, id=2**40 + n) for n, message in enumerate(drafts)]
    jobs += [LogIn(f"c{n}", f"s{n}", n % 2 == 0, 1, 1, print, 0) for n in range(count)]
    return jobs + [Mark(f"c{n}", Side.DESK, 3, print, 0) for n in range(1, 4)]


@in_loop
async def test_a_batch_finds_everything_by_an_index(place: Place) -> None:
    """No statement of a batch reads a whole table, and their number hardly grows."""
    async with opened(place):
        place.fill(50, 1000)
        dialect = dialect_of(place.url)
        database = dialect.database(for_writing=True)
        numbers = []
        with database.connection_context():
            for count in (1, 500):
                database.begin()
                cursor = WatchedCursor(database.cursor())
                Batch(some_jobs(count)).write(cursor, dialect.statements, 1, tried_before=True)
                database.rollback()
                assert {sql.split()[0] for sql, _ in cursor.asked} >= {"SELECT", "INSERT"}
                scans = [place.scans(*asked, may_walk=False) for asked in cursor.asked]
                assert not any(scans), scans
                numbers.append(len(cursor.asked))
    assert numbers[-1] < 4 * numbers[0], "five hundred times the drafts"


@in_loop
async def test_reads_find_everything_by_an_index(place: Place) -> None:
    """Neither a page nor a head nor a list reads a whole table or sorts it."""
    async with opened(place) as store:
        place.fill(4000, 16_000)  # of a few rows MariaDB reads all, and rightly
        asked: list[tuple[str, Any]] = []
        store._readers.database.query_hooks.append(
            lambda event: asked.append((event.sql, event.params or ()))
        )
        await store.history("c1", limit=5)
        await store.history("c1", before=9, limit=5)
        await store.history("c1", after=3, limit=5)
        await store.between("c1", 3, 5)
        await store.head("c1")
        await store.head("c1", 10**15)
        await store.newest_logins(["c1", "c2"])
        await store.changed(30, 5)
        await store.states(["c1", "c2"])
        lookups, asked[:] = list(asked), []
        cursor = (await store.conversations(before=None, limit=5))[-1].cursor
        await store.conversations(before=cursor, limit=5)
        await store.customers()
        assert (len(lookups), len(asked)) == (9, 3), "one query each"
        scans = [place.scans(*query, may_walk=False) for query in lookups]
        scans += [place.scans(*query, may_walk=True) for query in asked]
        assert not any(scans), scans


@in_loop
async def test_a_batch_costs_the_same_however_much_is_stored(
    make_place: Callable[[Path], Place], tmp_path: Path
) -> None:
    """With 500,000 stored messages a batch takes at most twice the time it takes with 1,000."""
    small, large = (make_place(tmp_path / name) for name in ("small", "large"))
    for folder in ("small", "large"):
        (tmp_path / folder).mkdir()
    async with opened(small) as small_store, opened(large) as large_store:
        small.fill(50, 1_000)
        large.fill(500, 500_000)
        stores = {"small": (small_store, small), "large": (large_store, large)}
        costs: dict[str, list[float]] = {name: [] for name in stores}
        for number in range(ROUNDS):
            for name, each in stores.items():  # in turn, so that a slow moment hits both
                costs[name].append(await _cost(*each, number))
    medians = {name: statistics.median(some[2:]) for name, some in costs.items()}
    assert medians["large"] < 2 * medians["small"], medians


async def _cost(store: Store, place: Place, number: int) -> float:
    """CPU seconds of storing `BATCH` messages: the disk's own moods do not count."""
    drafts = [
        draft(f"c{n % 10 + 1}", "a new message", client_id=f"{number}-{n}") for n in range(BATCH)
    ]
    # One future for all: asyncio's debug mode makes them dearer than a message.
    outcomes: list[Outcome] = []
    before = place.cpu_s()
    for message in drafts[:-1]:
        assert store.append(message, outcomes.append)
    outcomes.append(await send(store, drafts[-1]))
    cost = place.cpu_s() - before
    assert all(isinstance(outcome, Stored) for outcome in outcomes)
    assert len(outcomes) == BATCH
    return cost
