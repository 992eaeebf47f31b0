"""What a person does and sees in the two pages."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Route, expect

Prepare = Callable[[Page], None]

DESK = "super_admin"
PHONE_WIDTH_PX = 390
# What a browser says by itself about a node that is gone.
OUTAGE = re.compile(r"net::ERR_|WebSocket connection to .* failed|status of 400")


class ChatPage:
    """What both pages have: a connection, messages, a box to write in."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.status = page.get_by_role("status")
        self.log = page.get_by_role("log")
        self.box = page.get_by_role("textbox", name="Message")

    def say(self, text: str) -> None:
        """Write a message and press Enter."""
        self.box.fill(text)
        self.box.press("Enter")

    def bubble(self, text: str) -> Locator:
        """Find the messages with exactly this text."""
        exactly = re.compile(rf"^{re.escape(text)}$")
        return self.page.locator(".message").filter(
            has=self.page.locator(".text", has_text=exactly)
        )

    def sees(self, text: str) -> None:
        """Wait until a message is shown once, as stored."""
        expect(self.bubble(text)).to_have_count(1)
        expect(self.bubble(text)).to_have_attribute("data-state", "stored")

    def texts(self) -> list[str]:
        """Return the texts of all messages on the page."""
        return self.page.locator(".message > .text").all_inner_texts()

    def is_connected(self, node: str) -> None:
        """Wait for a connection to this node."""
        expect(self.status).to_have_text(f"Connected to {node}")


class CustomerPage(ChatPage):
    """The page of a customer."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.name = page.get_by_role("textbox", name="Your name")

    def enter(self, name: str) -> None:
        """Give a name and start to chat."""
        self.name.fill(name)
        self.name.press("Enter")


class DeskPage(ChatPage):
    """The page of the desk."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.total = page.locator("#online-total")
        self.selected = page.locator("#selected")

    def open_tab(self, name: str) -> None:
        """Show "Online users" or "All users"."""
        self.page.get_by_role("tab", name=name).click()

    def person(self, name: str) -> Locator:
        """Find somebody in the tab that is open."""
        rows = self.page.get_by_role("tabpanel").get_by_role("button")
        return rows.filter(has=self.page.get_by_text(name, exact=True))

    def select(self, name: str) -> None:
        """Click on somebody and wait for the conversation."""
        self.person(name).click()
        expect(self.selected).to_have_text(name)


class Windows:
    """Opens pages and notes what goes wrong in them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._outage_expected = False
        self.complaints: list[str] = []

    def customer(
        self, url: str, *, node: str | None = None, prepare: Prepare | None = None
    ) -> CustomerPage:
        """Open the customer's page of a node.

        ``node`` is the url of the node to connect to: nodes would choose at random, and most
        tests want to know. ``prepare`` gets the page before anything is loaded.
        """
        return CustomerPage(self._open(f"{url}/", node, prepare))

    def desk(
        self, url: str, *, node: str | None = None, prepare: Prepare | None = None
    ) -> DeskPage:
        """Open the desk's page of a node."""
        return DeskPage(self._open(f"{url}/desk", node, prepare))

    def expect_outage(self) -> None:
        """Let the browser complain about nodes that are gone."""
        self._outage_expected = True

    def close(self) -> None:
        """Close all windows."""
        for context in self._browser.contexts:
            context.close()

    def _open(self, address: str, node: str | None, prepare: Prepare | None) -> Page:
        page = self._browser.new_context().new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if node is not None:
            pin(page, node)
        if prepare is not None:
            prepare(page)
        page.goto(address)
        return page

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        if not (self._outage_expected and OUTAGE.search(message.text)):
            self.complaints.append(message.text)


ADDRESSES = "**/chatMsg/getWebSocketAddress/**"


def pin(page: Page, node: str) -> None:
    """Answer the page's question for an address with this node, until `unpin`."""

    def answer(route: Route) -> None:
        user = route.request.url.rsplit("/", 1)[1]
        address = node.replace("http", "ws", 1) + f"/websocket/mq/chat/{user}"
        route.fulfill(json={"code": 1, "msg": "ok", "data": address})

    page.route(ADDRESSES, answer)


def unpin(page: Page) -> None:
    """Let the nodes choose from now on."""
    page.unroute(ADDRESSES)
