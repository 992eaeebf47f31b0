"""Rules of single modules, run in the browser they are written for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.pages import Windows

pytestmark = [pytest.mark.browser, pytest.mark.cluster]


@pytest.fixture(scope="module")
def page(browser: Browser, urls: list[str]) -> Iterator[Page]:
    """Open a page that can import the modules."""
    windows = Windows(browser)
    yield windows.customer(urls[0]).page
    windows.close()
    assert windows.complaints == []


def run(page: Page, module: str, body: str) -> Any:
    """Run the body of an async function that sees a module as ``m``."""
    return page.evaluate(f"async () => {{ const m = await import('/pages/{module}'); {body} }}")


MESSAGES = "const some = (...seqs) => seqs.map((seq) => ({ seq, msg: `m${seq}` }));"


def test_live_messages_and_history_merge(page: Page) -> None:
    """What came live and again with the history is there once, in order."""
    shown = run(
        page,
        "conversation.js",
        MESSAGES
        + """const c = new m.Conversation("ann");
        for (const message of some(5, 4)) c.add(message);
        const before = [c.upTo, c.incomplete];
        c.addNewest(some(3, 4, 5), true, c.newest);
        for (const message of some(6, 5)) c.add(message);
        return [before, c.messages.map(({ seq }) => seq), c.upTo, c.incomplete, c.hasOlder];""",
    )
    assert shown == [[0, True], [3, 4, 5, 6], 6, False, True]


def test_a_hole_is_seen_and_filled(page: Page) -> None:
    """A hole is open until the history was read; what the history lacks does not exist."""
    shown = run(
        page,
        "conversation.js",
        MESSAGES
        + """const c = new m.Conversation("ann");
        c.addNewest(some(1, 2), false, 0);
        for (const message of some(5, 7)) c.add(message);
        const states = [[c.upTo, c.incomplete]];
        c.addMissed(some(3), true, 7);
        states.push([c.upTo, c.incomplete]);
        c.add(some(8)[0]);
        c.addMissed(some(5), false, 7);
        states.push([c.upTo, c.incomplete]);
        return states;""",
    )
    assert shown == [[2, True], [3, True], [8, False]]


def test_what_was_missed_is_settled_or_loaded_anew(page: Page) -> None:
    """An answer settles holes; where too much is missing the newest page replaces what was here."""
    shown = run(
        page,
        "conversation.js",
        MESSAGES
        + """const c = new m.Conversation("ann");
        c.addNewest(some(1, 2), false, 0);
        for (const message of some(4, 6)) c.add(message);
        c.resumed(5);
        const states = [[c.upTo, c.incomplete]];
        c.loadAnew();
        c.add(some(900)[0]);
        states.push([c.loaded, c.messages.length]);
        c.addNewest(some(898, 899, 900), true, 900);
        states.push([c.upTo, c.incomplete, c.hasOlder, c.messages.map(({ seq }) => seq)]);
        return states;""",
    )
    assert shown == [[6, False], [False, 5], [900, False, True, [898, 899, 900]]]


def test_the_desk_asks_what_changed(page: Page) -> None:
    """The list is read once; later only changes are, from the time of the last answer on."""
    shown = run(
        page,
        "changes.js",
        """const log = [];
        const changes = new m.Changes({
            send: ({ data }) => { log.push(["asked", data.since]); return true; },
            onHeads: (heads) => log.push(["changed", heads.length]),
            onReadAll: () => log.push(["read all"]),
        });
        changes.connected(10);
        changes.disconnected();
        changes.connected(20);
        changes.answered({ heads: [{}, {}], time: 30, complete: true });
        changes.answered({ heads: [{}], time: 99, complete: true });
        changes.disconnected();
        changes.connected(40);
        changes.answered({ heads: [], time: 50, complete: false });
        changes.disconnected();
        return log;""",
    )
    assert shown == [
        ["read all"],
        ["asked", 10],
        ["changed", 2],
        ["asked", 30],
        ["read all"],
    ]


def test_presence_follows_one_nodes_changes(page: Page) -> None:
    """Changes during a reading are put on top, older ones are not; a jump means reading again."""
    shown = run(
        page,
        "presence.js",
        """const lists = [
            { names: ["ann", "bob"], unknown: ["ann"], listVersion: 7 },
            { names: ["dan", "fay"], unknown: ["fay"], listVersion: 20 },
        ];
        let reads = 0;
        const p = new m.Presence(async () => lists[reads++], () => {});
        const change = (listVersion, opened, closed = [], unknown = []) =>
            p.onChange({ listVersion, opened, closed, unknown });
        const following = p.follow("http://n1");
        change(7, ["eve"]);
        change(8, ["cid"], ["ann"]);
        await following;
        const states = [[...p.people.keys()].sort()];
        await change(9, [], ["bob"]);
        await change(8, ["bob"]);
        await change(10, [], [], ["cid"]);
        states.push([...p.people]);
        await change(20, ["zoe"]);
        states.push([...p.people]);
        return [states, reads];""",
    )
    last = [["dan", "online"], ["fay", "unknown"]]
    assert shown == [[["bob", "cid"], [["cid", "unknown"]], last], 2]


def test_unread_is_a_matter_of_watermarks(page: Page) -> None:
    """An old list and a repeated event change nothing: marks only rise."""
    shown = run(
        page,
        "roster.js",
        """const r = new m.Roster();
        const head = (lastSeq, deskReadSeq) => ({
            conversation: "ann", lastSeq, deskReadSeq, lastMessage: null, updatedAt: "2025" });
        const states = [];
        const note = () => states.push(r.isUnread("ann"));
        note();
        r.merge(head(3, 3)); note();
        r.written({ conversation: "ann", seq: 4, createTime: "2026" }); note();
        r.merge(head(3, 3)); note();
        r.readByDesk("ann", 4); note();
        r.written({ conversation: "ann", seq: 4, createTime: "2026" }); note();
        r.readByDesk("ann", 2); note();
        return [states, r.names];""",
    )
    assert shown == [[False, False, True, True, False, False, False], ["ann"]]


def test_waits_grow_up_to_half_a_minute(page: Page) -> None:
    """The longest possible waits double from half a second to thirty seconds; the shortest is 0."""
    longest = run(
        page,
        "backoff.js",
        "return [0, 1, 2, 5, 6, 50].map((failures) => m.retryDelayMs(failures, () => 1));",
    )
    assert longest == [500, 1000, 2000, 16_000, 30_000, 30_000]
    assert run(page, "backoff.js", "return m.retryDelayMs(50, () => 0);") == 0


def test_nodes_that_failed_come_last(page: Page) -> None:
    """Live nodes go first, failed ones last, and none is forgotten or listed twice."""
    shown = run(
        page,
        "nodes.js",
        """const n = new m.NodeList(["http://a:1", "http://b:2/", "http://a:1/x"]);
        const states = [n.inOrder()];
        n.failed("http://a:1"); states.push(n.inOrder());
        n.learn(["http://c:3"]); states.push(n.inOrder());
        return states.map((urls) => urls.map((url) => new URL(url).hostname).join(""));""",
    )
    assert shown == ["ab", "ba", "cba"]


def test_an_older_page_that_comes_late_leaves_no_hole(page: Page) -> None:
    """When the newest messages were loaded anew meanwhile, it is dropped and asked for again."""
    shown = run(
        page,
        "history.js",
        MESSAGES
        + """const { Conversation } = await import("/pages/conversation.js");
        const c = new Conversation("ann");
        c.addNewest(some(8, 9), true, 0);
        let answer;
        const asked = [];
        const api = { history: (_, { before }) => {
          asked.push(before);
          return new Promise((resolve) => { answer = resolve; });
        } };
        const history = new m.History(api, c, () => {});
        const reading = history.readBack();
        c.loadAnew();
        c.addNewest(some(18, 19), true, 19);
        answer({ messages: some(6, 7), hasMore: true });
        await reading;
        const after = c.messages.map(({ seq }) => seq);
        const again = history.readBack();
        answer({ messages: some(16, 17), hasMore: true });
        await again;
        return [after, asked, c.messages.map(({ seq }) => seq)];""",
    )
    assert shown == [[18, 19], [8, 18], [16, 17, 18, 19]]


def test_what_waits_is_sent_again_in_the_order_it_was_written(page: Page) -> None:
    """A busy node gets those it refused, and what was written since, one after the other."""
    sent = run(
        page,
        "unsent.js",
        """localStorage.clear();
        const sent = [];
        const send = (event) => { sent.push(event.data); return true; };
        const unsent = new m.UnsentMessages("ann", send, () => {});
        const write = (msg) =>
          unsent.add({ conversation: "ann", sender: "ann", receiver: "desk", msg });
        unsent.connected();
        write("one");
        write("two");
        const ids = sent.map(({ clientId }) => clientId);
        for (const clientId of ids.toReversed()) {
          unsent.failed({ clientId, retryable: true, msg: "busy" });
        }
        write("three");
        const before = sent.length;
        while (sent.length < before + 3) await new Promise((done) => setTimeout(done, 10));
        localStorage.clear();
        return sent.map(({ msg }) => msg);""",
    )
    assert sent == ["one", "two", "one", "two", "three"]
