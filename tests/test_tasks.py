"""Background work: begun, watched, and ended together."""

from __future__ import annotations

import asyncio
import logging

import pytest

from zmqchat.tasks import Tasks


def test_work_that_fails_is_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody awaits it, so that it would end unseen."""

    async def fail() -> None:
        raise LookupError("nothing there")

    async def main() -> None:
        failed = asyncio.Event()
        Tasks(failed.set).spawn(fail())
        await asyncio.wait_for(failed.wait(), 5)

    asyncio.run(main())
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


def test_cancelled_work_is_no_failure_and_what_begins_later_ends_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who stops cannot be kept busy by what comes in meanwhile."""

    async def main() -> None:
        failures: list[None] = []
        tasks = Tasks(lambda: failures.append(None))
        first = tasks.spawn(asyncio.sleep(60))
        await tasks.cancel()
        later = tasks.spawn(asyncio.sleep(60))
        await asyncio.wait({later}, timeout=5)
        assert first.cancelled()
        assert later.cancelled()
        assert failures == []

    asyncio.run(main())
    assert caplog.records == []
