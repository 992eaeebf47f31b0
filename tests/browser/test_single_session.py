"""The desk opened twice: the older page says so, and takes over only when it is asked to."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.pages import Windows
from tests.browser.traffic import SOCKETS, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

ELSEWHERE = "Disconnected: logged in elsewhere"


def test_use_here(windows: Windows, urls: list[str]) -> None:
    """The desk is where it was opened last, or where "Use here" was pressed last."""
    customer = windows.customer(urls[0], node=urls[0])
    customer.enter("Vera")
    first = windows.desk(urls[0], node=urls[0])
    first.is_connected("n1")
    second = windows.desk(urls[1], node=urls[1])
    second.is_connected("n2")
    for here, there, node in ((first, second, "n1"), (second, first, "n2")):
        expect(here.status).to_have_text(ELSEWHERE)
        here.page.evaluate("dispatchEvent(new Event('online'))")  # what wakes a page that waits
        expect(here.status).to_have_text(ELSEWHERE)
        here.page.get_by_role("button", name="Use here").click()
        here.is_connected(node)
        expect(here.page.get_by_role("button", name="Use here")).to_be_hidden()
        expect(there.status).to_have_text(ELSEWHERE)
        here.select("Vera")
        here.say(f"from {node}")
        customer.sees(f"from {node}")
    assert customer.texts() == ["from n1", "from n2"]
    expect(customer.status).to_have_text("Connected to n1")


def test_a_page_that_reconnects_goes_on(windows: Windows, urls: list[str]) -> None:
    """It offers what WELCOME gave it, so that the node closes its older connection quietly."""
    pages: list[WebSocketRoute] = []
    ends: list[int | None] = []  # how the node closed the first connection

    def connect(page: WebSocketRoute) -> None:
        server = page.connect_to_server()
        pages.append(page)
        if len(pages) == 1:
            server.on_close(lambda code, _reason: ends.append(code))
            page.on_close(lambda _code, _reason: None)  # the node does not hear of it

    def prepare(page: Page) -> None:
        page.route_web_socket(SOCKETS, connect)

    desk = windows.desk(urls[0], node=urls[0], prepare=prepare)
    desk.is_connected("n1")
    pages[0].close(code=4001, reason="cut by the test")
    wait_for(desk, 1, ends)
    desk.is_connected("n1")
    assert (len(pages), ends) == (2, [1000])
