"""The database's clock, as a node reckons it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from zmqchat.store.database import Store
from zmqchat.storeclock import StoreClock


def test_a_node_tells_the_time_of_the_database(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own clock is corrected by what was measured last, also while nobody answers."""

    async def main() -> None:
        wall = ahead = 0
        loop = asyncio.get_running_loop()
        store = Store.open(f"sqlite:///{tmp_path}/chat.db", loop, clock=lambda: wall + ahead)
        clock = StoreClock(store, lambda: wall)
        try:
            wall, ahead = 1000, 250
            assert clock.now_ms() == 1000
            await clock.measure()
            wall = 2000
            assert clock.now_ms() == 2250
            ahead = -40
            await clock.measure()
            assert clock.now_ms() == 1960
        finally:
            await store.close()

        async def unavailable() -> int:
            return await store._readers.run(lambda: 0)

        store.time_ms = unavailable  # type: ignore[method-assign]
        with caplog.at_level(logging.WARNING):
            await clock.measure()
        assert clock.now_ms() == 1960
        assert "cannot read the database's clock" in caplog.text

    asyncio.run(main())
