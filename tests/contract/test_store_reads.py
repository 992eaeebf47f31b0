"""What every store promises of reading: history, heads, read marks, and the directory."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.contract.stores import (
    Place,
    draft,
    in_loop,
    mark,
    one_batch,
    opened,
    send,
    store_it,
)
from zmqchat.errors import Refused, StartError, StoreUnavailable
from zmqchat.store import registry
from zmqchat.store.database import Store
from zmqchat.store.ports import NodeRecord, Page, Side

FAR = 2**64  # more than any database can count


async def write(store: Store, conversation: str, count: int, *, agent: str | None = None) -> None:
    """Store some messages in a conversation."""
    drafts = [draft(conversation, f"text {n}", agent=agent) for n in range(1, count + 1)]
    await asyncio.gather(*(send(store, message) for message in drafts))


async def pass_a_moment(store: Store) -> None:
    """Wait until the store's clock has moved on."""
    start = await store.time_ms()
    while await store.time_ms() <= start + 1:  # noqa: ASYNC110 - nobody tells of a clock
        await asyncio.sleep(0.001)


def shown(page: Page) -> tuple[list[int], bool]:
    """What matters of a page."""
    return [message.seq for message in page.messages], page.has_more


PAGES: list[tuple[dict[str, int], list[int], bool]] = [
    ({}, [7, 8, 9], True),
    ({"before": 10}, [7, 8, 9], True),
    ({"before": FAR}, [7, 8, 9], True),
    ({"before": 5}, [2, 3, 4], True),
    ({"before": 4}, [1, 2, 3], False),
    ({"before": 1}, [], False),
    ({"before": -FAR}, [], False),
    ({"after": 0}, [1, 2, 3], True),
    ({"after": 5}, [6, 7, 8], True),
    ({"after": 6}, [7, 8, 9], False),
    ({"after": 9}, [], False),
    ({"after": FAR}, [], False),
    ({"after": 2, "before": 8}, [3, 4, 5], True),
    ({"after": 4, "before": 8}, [5, 6, 7], False),
]


@in_loop
async def test_a_page_is_next_to_its_bound_and_tells_if_there_is_more(place: Place) -> None:
    """Pages are oldest first, and ``has_more`` is exact in the direction asked."""
    async with opened(place) as store:
        await write(store, "u1", 9)
        await write(store, "u2", 5)
        for bounds, seqs, has_more in PAGES:
            assert shown(await store.history("u1", limit=3, **bounds)) == (seqs, has_more), bounds


@in_loop
async def test_a_page_of_nothing_is_a_mistake(place: Place) -> None:
    """A limit below one is refused, a conversation that does not exist has an empty page."""
    async with opened(place) as store:
        assert shown(await store.history("nobody")) == ([], False)
        with pytest.raises(ValueError, match="limit 0; expected at least 1"):
            await store.history("nobody", limit=0)


@in_loop
async def test_a_range_holds_what_exists_of_it(place: Place) -> None:
    """A ranged read includes both ends and leaves out what is not there."""
    async with opened(place) as store:
        await write(store, "u1", 5)
        assert [m.seq for m in await store.between("u1", 2, 4)] == [2, 3, 4]
        assert [m.seq for m in await store.between("u1", 4, FAR)] == [4, 5]
        assert await store.between("u1", 6, 9) == []
        assert await store.between("nobody", 1, 9) == []


@in_loop
async def test_the_head_may_be_that_of_an_earlier_time(place: Place) -> None:
    """Without a time the head is the newest seq, with one the newest of what is older."""
    now = [1_000_000_000_000]
    async with opened(place, clock=lambda: now[0]) as store:
        for _ in range(3):
            await store_it(store, draft("u1", "hi"))
            now[0] += 1000
        assert await store.head("u1") == 3
        heads = [await store.head("u1", 1_000_000_000_000 + ms) for ms in (0, 1, 1001, FAR)]
        assert heads == [0, 1, 2, 3]
        assert await store.head("nobody") == 0
        assert await store.head("nobody", 1_000_000_000_000) == 0


@in_loop
async def test_what_changed_comes_oldest_first_from_a_moment_of_the_stores_clock(
    place: Place,
) -> None:
    """Conversations with a newer message are told with head and marks, and no others."""
    async with opened(place) as store:
        before = await store.time_ms()
        await write(store, "u1", 2)
        await pass_a_moment(store)
        between = await store.time_ms()
        await write(store, "u2", 1)
        await pass_a_moment(store)
        await write(store, "u1", 1, agent="super_admin")
        await pass_a_moment(store)
        after = await store.time_ms()
        found = await store.changed(before, 10)
        assert [state.conversation for state in found] == ["u2", "u1"]
        assert found[1][:4] == ("u1", 3, 2, 0)
        assert between <= found[0].updated_at_ms <= found[1].updated_at_ms < after
        assert await store.changed(before, 1) == found[:1]
        assert await store.changed(found[1].updated_at_ms, 10) == [
            state for state in found if state.updated_at_ms == found[1].updated_at_ms
        ]
        assert await store.changed(after, 10) == []
        assert await store.changed(FAR, 10) == []


@in_loop
async def test_states_are_of_the_conversations_asked_for(place: Place) -> None:
    """More of them than one statement takes are found, and strangers are not."""
    async with opened(place) as store:
        names = [f"u{n}" for n in range(1, 1201)]
        await asyncio.gather(*(send(store, draft(name, "text")) for name in names))
        found = await store.states([*names, "nobody"])
        assert sorted(state.conversation for state in found) == sorted(names)
        assert {state.last_seq for state in found} == {1}
        assert await store.states([]) == []


@in_loop
async def test_read_marks_only_rise_and_never_pass_the_head(place: Place) -> None:
    """A mark answers where it stands now, or nothing when it did not move."""
    async with opened(place) as store:
        await write(store, "u1", 5)
        answers = [
            await mark(store, "u1", Side.DESK, seq) for seq in (2, 2, 1, 4, 99, 5, -FAR, FAR)
        ]
        assert answers == [2, None, None, 4, 5, None, None, None]
        assert await mark(store, "nobody", Side.DESK, 1) is None
        (row,) = await store.conversations(before=None, limit=10)
        assert (row.customer_read_seq, row.desk_read_seq, row.unread) == (5, 5, 0)


@in_loop
async def test_read_marks_in_one_batch_are_taken_one_after_the_other(place: Place) -> None:
    """Marks of both sides and of several conversations in a batch do not mix."""
    async with opened(place) as store:
        await write(store, "u1", 4, agent="Ann")
        await write(store, "u2", 4)
        async with one_batch(store, place):
            asked = [
                mark(store, "u1", Side.CUSTOMER, 2),
                mark(store, "u2", Side.DESK, 3),
                mark(store, "u1", Side.CUSTOMER, 1),
                mark(store, "u1", Side.CUSTOMER, 3),
                mark(store, "u2", Side.CUSTOMER, 4),
            ]
        assert await asyncio.gather(*asked) == [2, 3, None, 3, None]
        rows = {row.conversation: row for row in await store.conversations(before=None, limit=10)}
        assert (rows["u1"].customer_read_seq, rows["u1"].desk_read_seq) == (3, 4)
        assert (rows["u2"].customer_read_seq, rows["u2"].desk_read_seq) == (4, 3)


@in_loop
async def test_ones_own_message_is_no_news(place: Place) -> None:
    """Who had read everything has read what they write, and nobody else has."""

    async def marks() -> tuple[int, int, int]:
        (row,) = await store.conversations(before=None, limit=1)
        return row.customer_read_seq, row.desk_read_seq, row.unread

    async with opened(place) as store:
        await store_it(store, draft("u1", "one"))
        assert await marks() == (1, 0, 1)
        await store_it(store, draft("u1", "two", agent="Ann"))
        assert await marks() == (1, 0, 2), "the desk has not read the first one"
        await store_it(store, draft("u1", "three"))
        assert await marks() == (1, 0, 3), "nor has the customer read the second"
        await mark(store, "u1", Side.DESK, 3)
        await store_it(store, draft("u1", "four", agent="Ann"))
        assert await marks() == (1, 4, 0)


@in_loop
async def test_a_mixed_batch_marks_nothing_unseen_as_read(place: Place) -> None:
    """Where both sides write at once, no mark moves by itself."""
    async with opened(place) as store:
        await store_it(store, draft("u1", "one"))
        await mark(store, "u1", Side.DESK, 1)
        async with one_batch(store, place):
            asked = [send(store, draft("u1", "two")), send(store, draft("u1", "3", agent="Ann"))]
            far = mark(store, "u1", Side.DESK, 99)
        await asyncio.gather(*asked)
        assert await far is None, "nobody has seen what this very batch brings"
        rows = await store.conversations(before=None, limit=10)
        assert [row.desk_read_seq for row in rows if row.conversation == "u1"] == [1]


@in_loop
async def test_reading_and_answering_at_once_leaves_nothing_unread(place: Place) -> None:
    """A mark and the reader's own answer in one batch count as one after the other."""
    async with opened(place) as store:
        await write(store, "u1", 3)
        async with one_batch(store, place):
            read = mark(store, "u1", Side.DESK, 3)
            answer = send(store, draft("u1", "an answer", agent="Ann"))
        await answer
        assert await read == 4
        rows = await store.conversations(before=None, limit=10)
        assert [row.unread for row in rows if row.conversation == "u1"] == [0]


@in_loop
async def test_conversations_come_in_pages_newest_first(place: Place) -> None:
    """Pages meet exactly, also among rows that changed in the same millisecond."""
    now = [1_000_000_000_000]
    async with opened(place, clock=lambda: now[0]) as store:
        for n in range(10):
            await store_it(store, draft(f"u{n}", f"first of u{n}"))
            now[0] += n % 2  # every two in one millisecond
        await store_it(store, draft("u3", "the newest", agent="Ann"))
        found, cursor = [], None
        for expected in (4, 4, 2, 0):
            page = await store.conversations(before=cursor, limit=4)
            assert len(page) == expected
            found += page
            cursor = page[-1].cursor if page else cursor
        assert found[0].conversation == "u3"
        assert sorted(row.conversation for row in found) == [f"u{n}" for n in range(10)]
        assert [row.updated_at for row in found] == sorted(
            (row.updated_at for row in found), reverse=True
        )
        for row in found:
            assert row.last_message is not None
            assert row.last_message.seq == row.last_seq
            assert row.last_message.conversation == row.conversation
        assert (found[0].last_seq, found[0].unread) == (2, 2)
        assert found[0].last_message is not None
        assert found[0].last_message.msg == "the newest"


@in_loop
async def test_a_foreign_cursor_is_refused(place: Place) -> None:
    """What is not a row's cursor is the client's mistake."""
    async with opened(place) as store:
        for cursor in ("", "-", "1", "1-", "-1", "1-x", "1-2-3", "²-1", "9" * 30 + "-1"):
            with pytest.raises(Refused, match="is not the cursor of a row"):
                await store.conversations(before=cursor, limit=4)


@in_loop
async def test_customers_are_those_who_wrote_newest_first(place: Place) -> None:
    """A customer whom only the desk has written to is not among them."""
    now = [1_000_000_000_000]
    async with opened(place, clock=lambda: now[0]) as store:
        for name, agent in [("u1", None), ("u2", "Ann"), ("u3", None), ("u1", "Ann")]:
            now[0] += 1
            await store_it(store, draft(name, "hi", agent=agent))
        assert await store.customers() == ["u1", "u3"]
        assert await store.customers(limit=1) == ["u1"]
        assert await store.customers(limit=0) == ["u1", "u3"]


@in_loop
async def test_a_node_keeps_its_number_and_begins_a_higher_incarnation(place: Place) -> None:
    """Numbers belong to names; a life is newer than the last one whatever the clock says."""
    now = 2_000_000_000_000
    async with opened(place, clock=lambda: now) as store:
        two = await store.register("n2", http="h:2", url="http://h:2", mesh="tcp://h:7")
        assert (two.number, two.incarnation) == (2, now)
        await store.announce(two.number, http=two.http, mesh="tcp://h:9")
    async with opened(place, clock=lambda: now - 5000) as store:
        again = await store.register("n1", http="h:1", url="http://h:1", mesh="")
        assert (again.number, again.incarnation) == (1, now + 2), "the third life of n1"
        assert await store.nodes() == [
            again,
            NodeRecord(2, "n2", now, "h:2", "http://h:2", "tcp://h:9"),
        ]


@in_loop
async def test_a_life_that_is_over_is_marked_and_a_newer_one_is_not(place: Place) -> None:
    """Who has left listens nowhere; a late word about an earlier life changes nothing."""
    async with opened(place) as store:
        first = await store.register("n2", http="h:2", url="http://h:2", mesh="")
        second = await store.register("n2", http="h:2", url="http://h:2", mesh="")
        await store.leave(first.number, first.incarnation)
        assert second in await store.nodes()
        await store.leave(second.number, second.incarnation)
        left = msgspec.structs.replace(second, http="")
        assert left in await store.nodes()
        third = await store.register("n2", http="h:3", url="http://h:3", mesh="")
        assert third.number == second.number
        assert third in await store.nodes()


@in_loop
async def test_when_no_number_is_left_that_of_a_node_that_is_gone_is_given(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that started longest ago; its incarnations go on, so that both are told apart."""
    monkeypatch.setattr(registry, "MAX_NODE", 4)
    now = [2_000_000_000_000]
    async with opened(place, clock=lambda: now[0]) as store:
        lives = []
        for name in ("n2", "n3", "n4"):
            now[0] += 1
            lives.append(await store.register(name, http="h:1", url="http://h:1", mesh=""))
        with pytest.raises(StartError, match="4 nodes are registered"):
            await store.register("n5", http="h:2", url="http://h:2", mesh="")
        for life in lives[1:]:
            await store.leave(life.number, life.incarnation)
        now[0] -= 5000
        new = await store.register("n5", http="h:2", url="http://h:2", mesh="")
        assert (new.number, new.incarnation) == (lives[1].number, lives[1].incarnation + 1)
        assert [record.name for record in await store.nodes()] == ["n1", "n2", "n5", "n4"]


@in_loop
async def test_a_database_that_fails_is_unavailable_and_may_come_back(place: Place) -> None:
    """Reads raise `StoreUnavailable` while they cannot be answered, and work again later."""
    async with opened(place) as store:
        assert set((await store.problems()).values()) == {None}
        place.run("ALTER TABLE node RENAME TO gone")
        with pytest.raises(StoreUnavailable, match="the database does not answer"):
            await store.nodes()
        place.run("ALTER TABLE gone RENAME TO node")
        assert [node.name for node in await store.nodes()] == ["n1"]
        place.run("ALTER TABLE schema_migration RENAME TO gone")
        assert (await store.problems())["schema"] == "it is pending"
        place.run("ALTER TABLE gone RENAME TO schema_migration")
