"""A page whose node is gone, silent or unwilling."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.pages import DESK, Windows, pin, unpin
from tests.browser.traffic import ACK, MESSAGE, PING, SOCKETS, wait_for
from tests.processes import ClusterProcesses

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

REFUSED_NAMES = {
    "x" * 65: "65 characters; expected 1 to 64",
    "a\u0007b": "control character",
    DESK: "the desk's own",
    "   ": "enter a name",
}
PING_INTERVAL_MS = 10_000
ANSWER_DEADLINE_MS = 5_000


def test_the_node_is_killed(windows: Windows, tmp_path: Path) -> None:
    """A page goes on at the other node after a kill -9; what was written meanwhile arrives once."""
    with ClusterProcesses(tmp_path, nodes=2) as cluster:
        first, second = cluster.urls
        windows.expect_outage()
        desk = windows.desk(second, node=second)
        customer = windows.customer(first, node=first)
        customer.enter("Ann")
        customer.is_connected("n1")
        desk.select("Ann")
        customer.say("before")
        desk.sees("before")

        unpin(customer.page)
        burst = [f"burst {number}" for number in range(8)]
        for number, text in enumerate(burst):
            if number == 4:
                cluster.processes["n1"].send(signal.SIGKILL)  # in the midst of them
            customer.say(text)
        cluster.kill("n1")
        expect(customer.status).not_to_have_text("Connected to n1")
        customer.say("meanwhile")
        desk.say("still there?")
        customer.is_connected("n2")
        customer.sees("meanwhile")
        customer.sees("still there?")
        customer.say("yes")
        for page in (desk, customer):
            page.sees("yes")
            assert sorted(page.texts()) == [*("before", *burst, "meanwhile", "still there?", "yes")]
        expect(desk.total).to_have_text("1 online")


def test_an_acknowledgement_is_lost(windows: Windows, urls: list[str]) -> None:
    """A message never acknowledged is sent again, found to be stored, and stays one message."""
    sent: list[str] = []

    def connect(page: WebSocketRoute) -> None:
        server = page.connect_to_server()

        def to_server(message: str | bytes) -> None:
            event = json.loads(message)
            if event["key"] == MESSAGE:
                sent.append(event["data"]["clientId"])
            server.send(message)

        def to_page(message: str | bytes) -> None:
            key = json.loads(message)["key"]
            if key in {MESSAGE, ACK} and len(sent) == 1:
                page.close(code=4001, reason="cut by the test")
            elif key != ACK:
                page.send(message)

        page.on_message(to_server)
        server.on_message(to_page)

    customer = windows.customer(
        urls[0], prepare=lambda page: page.route_web_socket(SOCKETS, connect)
    )
    customer.enter("Otto")
    customer.say("only once")
    customer.sees("only once")
    wait_for(customer, 2, sent)
    assert len(set(sent)) == 1
    customer.page.reload()
    customer.sees("only once")
    assert customer.texts() == ["only once"]


def test_the_node_falls_silent(windows: Windows, urls: list[str]) -> None:
    """A node that takes a ping and answers nothing for five seconds is left."""
    connections: list[str] = []
    pings: list[str] = []

    def connect(page: WebSocketRoute) -> None:
        server = page.connect_to_server()
        connections.append(page.url)
        silent = len(connections) == 1

        def to_server(message: str | bytes) -> None:
            if silent and json.loads(message)["key"] == PING:
                pings.append(page.url)
            else:
                server.send(message)

        def to_page(message: str | bytes) -> None:
            if not (silent and pings):
                page.send(message)

        page.on_message(to_server)
        server.on_message(to_page)

    def prepare(page: Page) -> None:
        page.clock.install()
        page.route_web_socket(SOCKETS, connect)

    customer = windows.customer(urls[0], node=urls[0], prepare=prepare)
    customer.enter("Paula")
    customer.is_connected("n1")
    pin(customer.page, urls[1])
    customer.page.clock.run_for(PING_INTERVAL_MS)
    wait_for(customer, 1, pings)
    customer.page.clock.run_for(ANSWER_DEADLINE_MS)
    customer.page.clock.run_for(500)  # the first wait is no longer
    customer.is_connected("n2")
    assert len(connections) == 2


def closing(code: int, connections: list[WebSocketRoute]) -> Callable[[Page], None]:
    """Make the node close every connection with a code, and collect them."""

    def connect(socket: WebSocketRoute) -> None:
        connections.append(socket)
        socket.close(code=code)

    return lambda page: page.route_web_socket(SOCKETS, connect)


def test_a_terminal_close(windows: Windows, urls: list[str]) -> None:
    """A close code that forbids coming back is told in words, with a button to try all the same."""
    connections: list[WebSocketRoute] = []
    customer = windows.customer(urls[0], prepare=closing(4503, connections))
    customer.enter("Quirin")
    expect(customer.status).to_have_text("Disconnected: the server does not accept this name")
    assert len(connections) == 1
    customer.page.get_by_role("button", name="Connect again").click()
    wait_for(customer, 2, connections)
    expect(customer.status).to_contain_text("Disconnected")


def test_a_close_that_asks_to_reconnect(windows: Windows, urls: list[str]) -> None:
    """A close code below 4500 makes the page come back by itself, again and again."""
    connections: list[WebSocketRoute] = []
    customer = windows.customer(urls[0], prepare=closing(4001, connections))
    customer.enter("Rosa")
    expect(customer.status).to_contain_text("Connection lost")
    expect(customer.page.get_by_role("button", name="Connect again")).to_be_hidden()
    wait_for(customer, 3, connections)


def test_a_name_is_refused(windows: Windows, urls: list[str]) -> None:
    """A name that nobody may have is refused, by the server in its words, and can be mended."""
    windows.expect_outage()  # the browser notes the server's refusals as errors of its own
    customer = windows.customer(urls[0])
    for name, problem in REFUSED_NAMES.items():
        customer.enter(name)
        expect(customer.page.get_by_role("alert").first).to_contain_text(problem)
    customer.enter("Sven")
    expect(customer.page.get_by_text("You are Sven")).to_be_visible()


def test_a_name_is_normalised(windows: Windows, urls: list[str]) -> None:
    """What looks the same is the same name: composed, and without outer spaces."""
    customer = windows.customer(urls[0])
    customer.enter("  Zoe\u0301 ")
    customer.say("it is me")
    customer.sees("it is me")
    expect(customer.page.locator("#who")).to_have_text("Zo\u00e9", use_inner_text=True)
    assert customer.page.locator("#who").inner_text() == "Zo\u00e9"


def test_a_message_is_refused(windows: Windows, urls: list[str]) -> None:
    """A message that no node takes says why, and can be tried again or deleted."""
    customer = windows.customer(urls[0])
    customer.enter("Tina")
    text = "\u001c"  # to Python a space, to browsers a character
    customer.say(text)
    refused = customer.page.locator('.message[data-state="refused"]')
    expect(refused).to_contain_text("Not sent: message is empty")
    refused.get_by_role("button", name="Try again").click()
    expect(refused).to_contain_text("Not sent: message is empty")
    refused.get_by_role("button", name="Delete").click()
    expect(refused).to_have_count(0)


def test_a_message_is_too_long(windows: Windows, urls: list[str]) -> None:
    """A text beyond the limit stays in the box, with the numbers."""
    customer = windows.customer(urls[0])
    customer.enter("Udo")
    text = "语" * 22_000
    customer.say(text)
    expect(customer.page.get_by_text("66000 bytes; at most 65536")).to_be_visible()
    expect(customer.box).to_have_value(text)
    customer.say("shorter")
    customer.sees("shorter")
    expect(customer.page.get_by_text("66000 bytes")).to_be_hidden()
