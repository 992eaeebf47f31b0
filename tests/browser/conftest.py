"""A real Chromium, and two real nodes for it to talk to.

Everything lives for this package only: while Playwright is started, its event loop counts as
running, and the asyncio tests of other packages could not start theirs.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.pages import Windows
from tests.processes import ClusterProcesses

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
EXPECT_WITHIN_MS = 10_000


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Start the system's Chromium."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("chromium is missing")
    expect.set_options(timeout=EXPECT_WITHIN_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Start two nodes that all tests share which do no harm to them."""
    folder: Path = tmp_path_factory.mktemp("nodes")
    with ClusterProcesses(folder, nodes=2) as cluster:
        yield list(cluster.urls)


@pytest.fixture
def windows(browser: Browser) -> Iterator[Windows]:
    """Open windows, each with its own cookies and storage, and close them after the test.

    A script that failed or broke the Content-Security-Policy in one of them fails the test.
    """
    opened = Windows(browser)
    yield opened
    opened.close()
    assert opened.complaints == []
