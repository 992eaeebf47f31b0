"""What the desk's page shows of users whose node may be dead."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.pages import DeskPage, Windows
from tests.processes import ClusterProcesses

pytestmark = [pytest.mark.browser, pytest.mark.cluster]


def shows(desk: DeskPage, name: str, presence: str, words: str) -> None:
    """Wait until somebody is shown as this, for eyes and for ears."""
    expect(desk.person(name)).to_have_attribute("data-presence", presence)
    expect(desk.person(name)).to_contain_text(words)


def test_users_of_a_frozen_node_are_unknown_until_it_goes_on(
    windows: Windows, tmp_path: Path
) -> None:
    """They may be online, and count as such, also on a page that is loaded meanwhile."""
    with ClusterProcesses(tmp_path, nodes=2) as cluster:
        first, second = cluster.urls
        desk = windows.desk(first, node=first)
        for name, url in (("Vera", first), ("Willi", second)):
            windows.customer(url, node=url).enter(name)
            shows(desk, name, "online", "online")
        windows.expect_outage()  # the nodes end before the windows
        cluster.send("n2", signal.SIGSTOP)
        shows(desk, "Willi", "unknown", "maybe online")
        desk.page.reload()
        desk.is_connected("n1")
        shows(desk, "Willi", "unknown", "maybe online")
        shows(desk, "Vera", "online", "online")
        expect(desk.total).to_have_text("2 online")
        cluster.send("n2", signal.SIGCONT)
        shows(desk, "Willi", "online", "online")
        expect(desk.person("Willi")).not_to_contain_text("maybe")
