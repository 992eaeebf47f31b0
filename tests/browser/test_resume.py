"""What a page has missed while it had no connection."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Request, expect

from tests.browser.pages import Windows
from tests.browser.traffic import MESSAGE, RESUME, Event, Traffic, Wire, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

HISTORY = re.compile(r"/getHistoryChat/|/api/conversations")


def test_a_customer_is_sent_what_it_missed(windows: Windows, urls: list[str]) -> None:
    """After a reconnect it asks for what follows the last it has, and reads no history."""

    def on_first_until_cut(wire: Wire, event: Event) -> bool:
        return wire.number > 1 or event["key"] != MESSAGE or event["data"]["seq"] == 1

    traffic = Traffic(lets_in=on_first_until_cut)
    customer = windows.customer(urls[0], prepare=traffic.prepare)
    customer.enter("Alma")
    customer.say("one")
    customer.sees("one")
    desk = windows.desk(urls[1])
    desk.select("Alma")
    desk.say("missed")
    desk.sees("missed")
    read: list[Request] = []
    customer.page.on(
        "request", lambda request: read.append(request) if HISTORY.search(request.url) else None
    )
    traffic.wires[0].close()
    customer.sees("missed")
    asked = [event["data"] for event in traffic.wires[1].sent if event["key"] == RESUME]
    assert asked == [{"conversation": "Alma", "after": 1}]
    desk.say("live again")
    customer.sees("live again")
    assert customer.texts() == ["one", "missed", "live again"]
    assert read == []


def test_too_much_was_missed(windows: Windows, urls: list[str]) -> None:
    """Where a node will not send it all, the newest page of the history replaces what was there."""

    def refuse_to_resume(wire: Wire, event: Event) -> bool:
        if event["key"] != RESUME:
            return True
        answer = {"conversation": "Bert", "upTo": event["data"]["after"], "complete": False}
        wire.answer({"key": RESUME, "data": answer})
        return False

    traffic = Traffic(
        lets_out=refuse_to_resume,
        lets_in=lambda wire, event: wire.number > 1 or event["key"] != MESSAGE,
    )
    customer = windows.customer(urls[0], prepare=traffic.prepare)
    customer.enter("Bert")
    customer.say("one")
    customer.sees("one")
    desk = windows.desk(urls[1])
    desk.select("Bert")
    desk.say("missed")
    desk.sees("missed")
    assert customer.texts() == ["one"]
    traffic.wires[0].close()
    customer.sees("missed")
    assert customer.texts() == ["one", "missed"]


def test_the_desk_is_told_what_changed(windows: Windows, urls: list[str]) -> None:
    """Conversations that began while it was away are in its list, which is not read again."""
    traffic = Traffic(lets_in=lambda wire, event: wire.number > 1 or event["key"] != MESSAGE)
    desk = windows.desk(urls[1], prepare=traffic.prepare)
    expect(desk.status).to_contain_text("Connected")
    wait_for(desk, 1, traffic.wires)
    customer = windows.customer(urls[0])
    customer.enter("Cleo")
    customer.say("anybody there?")
    customer.sees("anybody there?")
    desk.open_tab("All users")
    expect(desk.person("Cleo")).to_have_count(0)
    read: list[Request] = []
    desk.page.on(
        "request",
        lambda request: read.append(request) if "/api/conversations" in request.url else None,
    )
    traffic.wires[0].close()
    expect(desk.person("Cleo")).to_be_visible()
    (asked,) = [data for data in traffic.sent(RESUME) if "since" in data]
    assert asked["since"] > 0
    assert read == []


def test_another_database(windows: Windows, urls: list[str]) -> None:
    """A page that learns of another database loads itself anew: its seqs mean nothing there."""

    def rename_database(wire: Wire, event: Event) -> bool:
        if event["key"] != 0 or wire.number != 2:
            return True
        wire.answer({**event, "data": {**event["data"], "databaseEpoch": "another"}})
        return False

    traffic = Traffic(lets_in=rename_database)
    customer = windows.customer(urls[0], prepare=traffic.prepare)
    customer.enter("Dora")
    customer.say("kept")
    customer.sees("kept")
    with customer.page.expect_navigation():
        traffic.wires[0].close()
    customer.sees("kept")
    wait_for(customer, 3, traffic.wires)
