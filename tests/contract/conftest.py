"""Fixtures of the contract suites."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.stores import MariaPlace, Place, SqlitePlace


@pytest.fixture(scope="session", params=["mariadb", "sqlite"])
def make_place(request: pytest.FixtureRequest) -> Callable[[Path], Place]:
    """Makes empty databases, of every kind in turn; a server runs until the end of all tests."""
    if request.param == "sqlite":
        return SqlitePlace
    server = request.getfixturevalue("mariadb")
    return lambda _: MariaPlace(server)


@pytest.fixture
def place(make_place: Callable[[Path], Place], tmp_path: Path) -> Place:
    """An empty database, of every kind in turn."""
    return make_place(tmp_path)
