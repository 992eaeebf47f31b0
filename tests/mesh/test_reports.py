"""Warnings that strangers can cause fill no log."""

from __future__ import annotations

import logging

import pytest

from zmqchat.mesh import reports
from zmqchat.mesh.reports import INTERVAL_S, Reports

log = logging.getLogger(__name__)


@pytest.fixture
def clock() -> list[float]:
    """The time, which tests change."""
    return [100.0]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said since the last call."""
    lines = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return lines


def test_the_same_of_one_address_is_said_once_a_minute(
    caplog: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    """A thousand refusals are two lines, the second of which tells how many there were."""
    one = Reports(log, lambda: clock[0])
    for _ in range(1000):
        one.warn("its key is wrong", "10.0.0.9")
    one.warn("it has no key", "10.0.0.9")
    one.warn("its key is wrong", "10.0.0.8")
    assert told(caplog) == [
        "10.0.0.9: its key is wrong",
        "10.0.0.9: it has no key",
        "10.0.0.8: its key is wrong",
    ]
    clock[0] += INTERVAL_S - 1
    one.warn("its key is wrong", "10.0.0.9")
    assert told(caplog) == []
    clock[0] += 1
    one.warn("its key is wrong", "10.0.0.9")
    assert told(caplog) == ["10.0.0.9: its key is wrong; 1000 times more since the last such line"]
    clock[0] += INTERVAL_S
    one.warn("its key is wrong", "10.0.0.9")
    assert told(caplog) == ["10.0.0.9: its key is wrong"]


def test_many_addresses_are_told_as_one(
    caplog: pytest.LogCaptureFixture, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past a number of addresses in a minute the others share a line; a minute later it is over."""
    monkeypatch.setattr(reports, "MOST_SUBJECTS", 3)
    one = Reports(log, lambda: clock[0])
    for number in range(9):
        one.warn("it has no key", f"10.0.0.{number}")
    assert told(caplog) == [
        "10.0.0.0: it has no key",
        "10.0.0.1: it has no key",
        "10.0.0.2: it has no key",
        "further addresses: it has no key",
    ]
    clock[0] += INTERVAL_S
    one.warn("it has no key", "10.0.1.1")
    assert told(caplog) == ["10.0.1.1: it has no key"]
