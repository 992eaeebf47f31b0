"""What passes between a page and its node, noted and bent by a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from playwright.sync_api import Page, WebSocketRoute

from tests.browser.pages import ChatPage

SOCKETS = "**/websocket/**"
MESSAGE, ACK, ERROR, RESUME, PING = 3, 5, 6, 9, 13

Event = dict[str, Any]


class Wire:
    """One connection of a page: events may be kept from passing, or answered in place of a node."""

    def __init__(self, route: WebSocketRoute, traffic: Traffic) -> None:
        self.number = len(traffic.wires) + 1
        self.sent: list[Event] = []  # by the page
        self._route = route
        self._server = route.connect_to_server()
        self._traffic = traffic
        route.on_message(self._to_server)
        self._server.on_message(self._to_page)

    def answer(self, event: Event) -> None:
        """Send the page an event."""
        self._route.send(json.dumps(event))

    def close(self, code: int = 4001) -> None:
        """End the connection, as a node would."""
        self._route.close(code=code)

    def _to_server(self, text: str | bytes) -> None:
        event = json.loads(text)
        self.sent.append(event)
        if self._traffic.lets_out(self, event):
            self._server.send(text)

    def _to_page(self, text: str | bytes) -> None:
        if self._traffic.lets_in(self, json.loads(text)):
            self._route.send(text)


def everything(_wire: Wire, _event: Event) -> bool:
    """Let every event pass."""
    return True


class Traffic:
    """All connections of a page, in order; ``lets_out`` and ``lets_in`` say which events pass."""

    def __init__(
        self,
        *,
        lets_out: Callable[[Wire, Event], bool] = everything,
        lets_in: Callable[[Wire, Event], bool] = everything,
    ) -> None:
        self.wires: list[Wire] = []
        self.lets_out = lets_out
        self.lets_in = lets_in

    def prepare(self, page: Page) -> None:
        """Watch a page that is about to be loaded."""
        page.route_web_socket(SOCKETS, lambda route: self.wires.append(Wire(route, self)))

    def sent(self, key: int) -> list[Event]:
        """The data of all events of a key that the page has sent, on whichever connection."""
        return [event["data"] for wire in self.wires for event in wire.sent if event["key"] == key]


def wait_for(
    page: ChatPage, count: int, seen: Sequence[object] | Callable[[], Sequence[object]]
) -> None:
    """Wait until so many were seen; the time limit of every test is the deadline."""
    while len(seen() if callable(seen) else seen) < count:
        page.page.wait_for_timeout(20)
