"""What holds for every test: it leaves no thread, child process or asyncio task behind.

A test is skipped only where a part of the machine is missing. With ``ZMQCHAT_REQUIRE_ALL=1`` that
is a failure; with ``ZMQCHAT_SKIPPED=FILE`` the reasons are written to that file.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest

from tests.databases import MISSING, MariaServer, is_installed
from tests.processes import shared_pids

T = TypeVar("T")

GRACE_S = 2.0  # what ends by itself may take this long

hypothesis.settings.register_profile("zmqchat", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "zmqchat")


# Under nohup the tests' children would ignore a hang-up, which some tests send them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# -- nothing is left behind ---------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _leave_nothing(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Generator[None]:
    """Fail a test that leaves a thread, a child process or an asyncio task."""
    monkeypatch.setattr(asyncio, "run", _run_and_check)
    if not any(map(request.node.get_closest_marker, ("cluster", "browser"))):
        monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    threads, children = set(threading.enumerate()), _children()
    yield
    assert not _left(lambda: set(threading.enumerate()) - threads), "threads were left"
    left = _left(lambda: _children() - children - shared_pids())
    assert not left, f"child processes were left: {[_command(pid) for pid in left]}"


def _left(remaining: Callable[[], set[Any]]) -> set[Any]:
    deadline = time.monotonic() + GRACE_S
    while (left := remaining()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def _children() -> set[int]:
    """Return the ids of this process's children, on Linux."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for file in lists for pid in file.read_text().split()}


def _command(pid: int) -> str:
    try:
        return f"{pid}: {Path(f'/proc/{pid}/cmdline').read_text().replace(chr(0), ' ')}"
    except FileNotFoundError:
        return str(pid)


_plain_run = asyncio.run


def _run_and_check(main: Coroutine[Any, Any, T], **options: Any) -> T:
    """Run as `asyncio.run` does, which would silently cancel the tasks that are left."""

    async def checked() -> T:
        answer = await main
        deadline = time.monotonic() + GRACE_S
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            assert time.monotonic() < deadline, f"tasks were left: {left}"
            await asyncio.sleep(0.005)
        return answer

    answer = _plain_run(checked(), **options)
    gc.collect()  # what was not closed complains while this test runs, not during a later one
    return answer


# -- parts of the machine -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaServer]:
    """Start a MariaDB that all tests share which do no harm to it."""
    if not is_installed():
        pytest.skip(MISSING)
    with MariaServer(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


_skipped: set[str] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,  # noqa: ARG001 - the hook's signature
    call: pytest.CallInfo[None],  # noqa: ARG001
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note why a test is skipped, and fail it where nothing may be."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skipped.add(reason.removeprefix("Skipped: "))
        if os.environ.get("ZMQCHAT_REQUIRE_ALL"):
            report.outcome = "failed"
            report.longrepr = f"{reason}, and nothing may be skipped here"
    return report


def pytest_sessionfinish() -> None:
    """Tell whoever asked what was skipped."""
    if file := os.environ.get("ZMQCHAT_SKIPPED"):
        with Path(file).open("a") as notes:  # each of the processes that run tests has its own
            notes.writelines(f"{reason}\n" for reason in sorted(_skipped))
