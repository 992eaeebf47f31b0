"""Fixtures of the contract suites."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.stores import PLACES, Place


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty database, of every kind in turn."""
    return PLACES[request.param](tmp_path)
