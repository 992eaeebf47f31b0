"""A customer on one node and the desk on another, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.pages import DESK, PHONE_WIDTH_PX, CustomerPage, DeskPage, Windows
from tests.processes import ClusterProcesses

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

HOSTILE = (
    '<img src=x onerror="document.title=1">',
    "<script>document.title=1</script>",
    '"><svg/onload=alert(1)>&lt;b&gt;',
    "javascript:alert(1)//%3Cb%3E",
)


@pytest.fixture
def desk(windows: Windows, urls: list[str]) -> DeskPage:
    """Open the desk on the second node."""
    return windows.desk(urls[1], node=urls[1])


def enter(windows: Windows, url: str, name: str) -> CustomerPage:
    """Open the customer's page on a node, under a name."""
    customer = windows.customer(url, node=url)
    customer.enter(name)
    return customer


def test_talk_both_ways(windows: Windows, urls: list[str], desk: DeskPage) -> None:
    """Customer and desk see each other's messages and their own, once, through two nodes."""
    customer = enter(windows, urls[0], "Ann")
    customer.is_connected("n1")
    desk.is_connected("n2")
    desk.select("Ann")
    customer.say("Is anybody there?")
    desk.sees("Is anybody there?")
    desk.say("我在。\nHow can I help?")
    customer.sees("我在。\nHow can I help?")
    assert customer.texts() == desk.texts() == ["Is anybody there?", "我在。\nHow can I help?"]
    expect(customer.bubble("Is anybody there?")).to_have_class(re.compile("own"))
    expect(customer.box).to_have_value("")


def test_first_online_customer_is_selected(
    windows: Windows, urls: list[str], desk: DeskPage
) -> None:
    """A desk that has nobody selected selects whoever comes online, and keeps the selection."""
    expect(desk.total).to_have_text("0 online")  # whoever was here before has left
    desk.page.reload()
    expect(desk.total).to_have_text("0 online")
    expect(desk.selected).to_have_text("Nobody selected")
    enter(windows, urls[0], "Berta")
    expect(desk.selected).to_have_text("Berta")
    enter(windows, urls[0], "Aaron")
    expect(desk.total).to_have_text("2 online")
    expect(desk.page.get_by_role("tab", name="Online users (2)")).to_be_visible()
    expect(desk.selected).to_have_text("Berta")
    expect(desk.person("Berta")).to_have_attribute("aria-current", "true")
    expect(desk.person("Aaron")).to_have_attribute("aria-current", "false")


def test_unread_dot(windows: Windows, urls: list[str], desk: DeskPage) -> None:
    """A message of somebody else makes a dot, which outlives a reload and goes on selecting."""
    enter(windows, urls[0], "Carl")
    dora = enter(windows, urls[0], "Dora")
    desk.select("Carl")
    expect(desk.person("Dora")).to_have_attribute("data-unread", "false")
    dora.say("hello?")
    expect(desk.person("Dora")).to_have_attribute("data-unread", "true")
    expect(desk.person("Dora")).to_contain_text("unread")
    expect(desk.person("Carl")).to_have_attribute("data-unread", "false")
    expect(desk.page).to_have_title(re.compile(r"^\(\d+\) Desk$"))

    desk.page.reload()  # selects the first by name, and that is not Dora
    expect(desk.person("Dora")).to_have_attribute("data-unread", "true")
    desk.select("Dora")
    desk.sees("hello?")
    expect(desk.person("Dora")).to_have_attribute("data-unread", "false")


@pytest.fixture(scope="module")
def shared_desk_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Start two nodes where the desk may be open more than once."""
    folder = tmp_path_factory.mktemp("shared")
    with ClusterProcesses(folder, nodes=2, sessions={"agent": "many"}) as cluster:
        yield list(cluster.urls)


def test_two_desks_have_the_same_dots(windows: Windows, shared_desk_urls: list[str]) -> None:
    """Read marks are kept by the cluster: another desk on another node shows no dot either."""
    urls = shared_desk_urls
    desk = windows.desk(urls[1], node=urls[1])
    enter(windows, urls[0], "Ernst")
    frida = enter(windows, urls[0], "Frida")
    desk.select("Ernst")
    frida.say("one")
    frida.say("two")
    expect(desk.person("Frida")).to_have_attribute("data-unread", "true")
    other = windows.desk(urls[0], node=urls[0])
    other.select("Ernst")
    expect(other.person("Frida")).to_have_attribute("data-unread", "true")
    desk.select("Frida")
    desk.sees("two")
    expect(desk.person("Frida")).to_have_attribute("data-unread", "false")
    expect(other.person("Frida")).to_have_attribute("data-unread", "false")
    other.page.reload()
    other.open_tab("All users")
    expect(other.person("Frida")).to_have_attribute("data-unread", "false")


def test_history_after_reload(windows: Windows, urls: list[str], desk: DeskPage) -> None:
    """Both pages show the conversation again after a reload, the customer without being asked."""
    customer = enter(windows, urls[0], "Gerd")
    desk.select("Gerd")
    customer.say("first")
    desk.sees("first")
    desk.say("second")
    customer.sees("second")
    customer.page.reload()
    customer.sees("second")
    assert customer.texts() == ["first", "second"]
    desk.page.reload()
    desk.open_tab("All users")
    desk.select("Gerd")
    desk.sees("second")
    assert desk.texts() == ["first", "second"]


def test_all_users_keeps_who_left(windows: Windows, urls: list[str], desk: DeskPage) -> None:
    """Somebody who left is no longer online, but stays among all users, with the conversation."""
    customer = enter(windows, urls[0], "Hanna")
    customer.say("bye")
    customer.sees("bye")
    desk.open_tab("All users")
    expect(desk.person("Hanna")).to_have_attribute("data-presence", "online")
    customer.page.close()
    expect(desk.person("Hanna")).to_have_attribute("data-presence", "offline")
    desk.select("Hanna")
    desk.sees("bye")
    desk.open_tab("Online users")
    expect(desk.person("Hanna")).to_have_count(0)


def test_text_is_shown_as_text(windows: Windows, urls: list[str], desk: DeskPage) -> None:
    """Markup in messages and in a name is shown letter by letter and never runs."""
    name = "<b onclick=alert(1)>Ida</b>"
    customer = enter(windows, urls[0], name)
    desk.select(name)
    for text in HOSTILE:
        customer.say(text)
        customer.sees(text)
        desk.sees(text)
    assert desk.texts() == list(HOSTILE)
    for page in (customer.page, desk.page):
        expect(page.locator("b, svg, img, body script")).to_have_count(0)
    expect(desk.page).to_have_title(re.compile("Desk"))


def test_older_messages(windows: Windows, urls: list[str], desk: DeskPage) -> None:
    """Older messages come on scrolling up, and what is being read stays where it is."""
    customer = enter(windows, urls[0], "Ida")
    customer.is_connected("n1")
    write_many(customer, "Ida", 130)
    desk.open_tab("All users")
    desk.select("Ida")
    desk.sees("number 130")
    assert desk.texts()[0] == "number 31"
    top = desk.bubble("number 31")
    place = "bubble => Math.round(bubble.getBoundingClientRect().top)"
    scroll_up = (
        "bubble => { bubble.closest('#log').scrollTop = 0; return (" + place + ")(bubble); }"
    )
    before = top.evaluate(scroll_up)
    desk.sees("number 1")
    assert abs(top.evaluate(place) - before) <= 1
    assert desk.texts() == [f"number {number}" for number in range(1, 131)]


def test_follows_the_newest_only_near_the_end(
    windows: Windows, urls: list[str], desk: DeskPage
) -> None:
    """At the end a new message scrolls into sight; further up the page holds still and says so."""
    customer = enter(windows, urls[0], "Jan")
    customer.is_connected("n1")
    write_many(customer, "Jan", 40)
    desk.select("Jan")
    desk.sees("number 40")
    expect(desk.bubble("number 40")).to_be_in_viewport()
    desk.log.evaluate("log => { log.scrollTop = 300; }")
    held = desk.log.evaluate("log => log.scrollTop")
    customer.say("over here")
    below = desk.page.get_by_role("button", name="New messages below")
    expect(below).to_be_visible()
    assert desk.log.evaluate("log => log.scrollTop") == held
    below.click()
    expect(desk.bubble("over here")).to_be_in_viewport()
    expect(below).to_be_hidden()
    customer.say("and again")
    expect(desk.bubble("and again")).to_be_in_viewport()


def test_drafts_stay_with_their_customer(windows: Windows, urls: list[str], desk: DeskPage) -> None:
    """What the desk began to write to one customer is not sent to another."""
    enter(windows, urls[0], "Karl")
    enter(windows, urls[0], "Lena")
    desk.select("Karl")
    desk.box.fill("for Karl")
    desk.select("Lena")
    expect(desk.box).to_have_value("")
    desk.select("Karl")
    expect(desk.box).to_have_value("for Karl")


def test_fits_a_phone(windows: Windows, urls: list[str], desk: DeskPage) -> None:
    """At 390 px nothing sticks out sideways, whatever the length of names and words."""
    name = "M" * 64
    customer = enter(windows, urls[0], name)
    customer.say("w" * 500)
    desk.select(name)
    desk.sees("w" * 500)
    for page in (customer.page, desk.page):
        page.set_viewport_size({"width": PHONE_WIDTH_PX, "height": 760})
        expect(page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE_WIDTH_PX
        assert page.locator("#log").evaluate("log => log.scrollWidth - log.clientWidth") == 0


def write_many(customer: CustomerPage, name: str, count: int) -> None:
    """Write messages faster than a person, and wait until all are stored."""
    customer.page.evaluate(
        """async ([name, desk, count]) => {
            const address = `/chatMsg/getWebSocketAddress/${name}`;
            const socket = new WebSocket((await (await fetch(address)).json()).data);
            await new Promise((resolve) => { socket.onopen = resolve; });
            const stored = new Promise((resolve) => {
                socket.onmessage = ({ data }) => {
                    if (JSON.parse(data).data.msg === `number ${count}`) resolve();
                };
            });
            for (let number = 1; number <= count; number += 1) {
                const msg = `number ${number}`;
                socket.send(JSON.stringify({ msg, sender: name, receiver: desk }));
            }
            await stored;
            socket.close();
        }""",
        [name, DESK, count],
    )
