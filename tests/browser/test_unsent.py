"""What was written and is not stored yet: kept, sent again, given up only by the person."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import CustomerPage, Windows, pin
from tests.browser.traffic import ACK, ERROR, MESSAGE, Event, Traffic, Wire, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

STATES = '.message[data-state="{}"]'


def test_a_reload_with_messages_that_wait(windows: Windows, urls: list[str]) -> None:
    """What no node took before a reload is sent after it, once, in order; the draft stays too."""
    traffic = Traffic(lets_out=lambda wire, event: wire.number > 1 or event["key"] != MESSAGE)
    customer = windows.customer(urls[0], prepare=traffic.prepare)
    customer.enter("Ulrike")
    for text in ("one", "two"):
        customer.say(text)
    wait_for(customer, 2, lambda: traffic.sent(MESSAGE))
    customer.box.fill("not yet")
    customer.page.reload()
    for text in ("one", "two"):
        customer.sees(text)
    assert customer.texts() == ["one", "two"]
    expect(customer.box).to_have_value("not yet")
    ids = [data["clientId"] for data in traffic.sent(MESSAGE)]
    assert ids == ids[:2] * 2
    customer.page.reload()
    customer.sees("two")
    assert len(traffic.sent(MESSAGE)) == 4  # what is stored is not kept any more


def test_a_busy_node(windows: Windows, urls: list[str]) -> None:
    """A message refused for now is sent again by itself, with the same client id."""

    def refuse_twice(wire: Wire, event: Event) -> bool:
        if event["key"] != MESSAGE or len(traffic.sent(MESSAGE)) > 2:
            return True
        client_id = event["data"]["clientId"]
        failure = {"code": "busy", "msg": "later", "clientId": client_id, "retryable": True}
        wire.answer({"key": ERROR, "data": failure})
        return False

    traffic = Traffic(lets_out=refuse_twice)
    customer = windows.customer(urls[0], prepare=traffic.prepare)
    customer.enter("Wim")
    customer.say("patience")
    customer.sees("patience")
    ids = [data["clientId"] for data in traffic.sent(MESSAGE)]
    assert (len(ids), len(set(ids))) == (3, 1)


def test_a_refused_message_stays_refused(windows: Windows, urls: list[str]) -> None:
    """Its reason is shown also after a reload; it is sent when the person says so, or deleted."""

    def refuse_first(wire: Wire, event: Event) -> bool:
        if event["key"] != MESSAGE or event["data"]["msg"] in accepted:
            return True
        client_id = event["data"]["clientId"]
        failure = {"code": "x", "msg": "not today", "clientId": client_id, "retryable": False}
        wire.answer({"key": ERROR, "data": failure})
        return False

    accepted: set[str] = set()
    traffic = Traffic(lets_out=refuse_first)
    customer = windows.customer(urls[0], prepare=traffic.prepare)
    customer.enter("Xaver")
    customer.say("again")
    customer.say("never")
    refused = customer.page.locator(STATES.format("refused"))
    expect(refused).to_have_count(2)
    customer.page.reload()
    expect(refused).to_have_count(2)
    expect(refused.first).to_contain_text("Not sent: not today")
    assert len(traffic.sent(MESSAGE)) == 2
    accepted.add("again")
    customer.bubble("again").get_by_role("button", name="Try again").click()
    customer.sees("again")
    customer.bubble("never").get_by_role("button", name="Delete").click()
    customer.page.reload()
    customer.sees("again")
    assert customer.texts() == ["again"]


def test_two_tabs_hold_one_message(windows: Windows, urls: list[str]) -> None:
    """A second tab sends what the first one could not; the message is one, and both know it."""
    traffic = Traffic(
        lets_out=lambda _wire, event: event["key"] != MESSAGE,
        lets_in=lambda _wire, event: event["key"] not in {MESSAGE, ACK},
    )
    first = windows.customer(urls[0], prepare=traffic.prepare)
    first.enter("Yara")
    first.say("from a tab")
    wait_for(first, 1, lambda: traffic.sent(MESSAGE))
    page = first.page.context.new_page()
    pin(page, urls[1])
    page.goto(f"{urls[0]}/")
    second = CustomerPage(page)
    second.enter("Yara")
    second.sees("from a tab")
    assert second.texts() == ["from a tab"]
    expect(first.bubble("from a tab")).to_have_count(0)  # nothing of it waits here any more
    first.page.reload()
    first.sees("from a tab")
    assert first.texts() == ["from a tab"]


DENY = """for (const name of ["localStorage", "sessionStorage"]) {
    const get = () => { throw new DOMException("denied by the test", "SecurityError"); };
    Object.defineProperty(window, name, { get });
}"""


def test_storage_is_denied(windows: Windows, urls: list[str]) -> None:
    """The page works without; only a reload forgets."""

    def prepare(page: Page) -> None:
        page.add_init_script(DENY)

    customer = windows.customer(urls[0], prepare=prepare)
    customer.enter("Zora")
    customer.say("all the same")
    customer.sees("all the same")
