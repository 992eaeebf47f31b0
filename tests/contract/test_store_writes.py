"""What every store promises of writing."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.clients import until
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
from zmqchat.errors import ErrorCode, Refused
from zmqchat.store.database import Store
from zmqchat.store.ports import Side, Stored


@in_loop
async def test_a_message_comes_back_as_it_was_stored(place: Place) -> None:
    """The answer to a write and the history show the same message, with all its fields."""
    text = "你好 <b>hi</b>\n\0 👋"
    async with opened(place, clock=lambda: 1_684_224_000_123) as store:
        stored = await store_it(store, draft("u1", text, client_id="c1", agent="Ann"))
        assert stored.duplicate is False
        message = stored.message
        assert (message.seq, message.conversation, message.msg) == (1, "u1", text)
        assert (message.sender, message.receiver, message.agent) == ("super_admin", "u1", "Ann")
        assert (message.client_id, message.kind) == ("c1", "text")
        assert message.create_time == "2023-05-16T08:00:00.123Z"
        assert len(message.id) == 16
        assert (await store.history("u1")).messages == [message]


@in_loop
async def test_the_longest_message_is_stored_whole(place: Place) -> None:
    """64 KiB of UTF-8, in characters of one byte and of four."""
    async with opened(place) as store:
        texts = ["x" * 65_536, "👋" * 16_384]
        for text in texts:
            await store_it(store, draft("u1", text))
        assert [message.msg for message in (await store.history("u1")).messages] == texts


@in_loop
async def test_each_conversation_counts_for_itself(place: Place) -> None:
    """Seqs are 1, 2, 3 in each conversation, in the order the messages were queued."""
    async with opened(place) as store:
        sent = [draft(f"u{n % 3}", f"text {n}") for n in range(90)]
        outcomes = await asyncio.gather(*(send(store, message) for message in sent))
        for name in ("u0", "u1", "u2"):
            messages = [
                o.message
                for o in outcomes
                if isinstance(o, Stored) and o.message.conversation == name
            ]
            assert [m.seq for m in messages] == list(range(1, 31))
            assert [m.msg for m in messages] == [d.msg for d in sent if d.conversation == name]
            assert (await store.history(name)).messages == messages
    assert store.counts.stored == 90


@in_loop
async def test_the_same_client_id_twice_in_one_batch_is_one_message(place: Place) -> None:
    """A copy in the same batch gets the first one's message, as a duplicate."""
    async with opened(place) as store:
        async with one_batch(store, place):
            pair = [send(store, draft("u1", "hi", client_id="c")) for _ in range(2)]
        first, copy = await asyncio.gather(*pair)
        assert isinstance(first, Stored)
        assert isinstance(copy, Stored)
        assert (first.duplicate, copy.duplicate) == (False, True)
        assert first.message == copy.message
        assert await store.head("u1") == 1
    assert (store.counts.batches, store.counts.stored, store.counts.duplicates) == (2, 2, 1)


@in_loop
async def test_the_same_client_id_later_is_the_same_message(place: Place) -> None:
    """A message sent again, also in another life of the node, is answered with the first one."""
    async with opened(place) as store:
        first = await store_it(store, draft("u1", "hi", client_id="c"))
    async with opened(place) as store:
        again = await store_it(store, draft("u1", "hi", client_id="c"))
        assert again == Stored(first.message, duplicate=True)
        assert await store.head("u1") == 1


@in_loop
async def test_a_client_id_with_another_text_is_refused(place: Place) -> None:
    """In one batch as later, the first text stays, and its copies are told from others."""
    async with opened(place) as store:
        async with one_batch(store, place):
            sent = [send(store, draft("u1", text, client_id="c")) for text in ("hi", "ho", "hi")]
        sent += [send(store, draft("u1", text, client_id="c")) for text in ("Hi", "hi ", "hi")]
        outcomes = await asyncio.gather(*sent)
        codes = [o.code if isinstance(o, Refused) else o.duplicate for o in outcomes]
        reused = ErrorCode.CLIENT_ID_REUSED
        assert codes == [False, reused, True, reused, reused, True]
        assert {o.client_id for o in outcomes if isinstance(o, Refused)} == {"c"}
        assert [m.msg for m in (await store.history("u1")).messages] == ["hi"]
    assert store.counts.refused == 3


@in_loop
async def test_a_copy_behind_another_text_still_finds_the_stored_one(place: Place) -> None:
    """Copies in a batch are compared with what the database has, not with the batch's first."""
    async with opened(place) as store:
        first = await store_it(store, draft("u1", "hi", client_id="c"))
        async with one_batch(store, place):
            pair = [send(store, draft("u1", text, client_id="c")) for text in ("ho", "hi")]
        other, copy = await asyncio.gather(*pair)
        assert isinstance(other, Refused)
        assert copy == Stored(first.message, duplicate=True)


@in_loop
async def test_a_client_id_belongs_to_its_author_and_conversation(place: Place) -> None:
    """Two agents may use one client id, in two conversations and in the same one."""
    async with opened(place) as store:
        outcomes = [
            await store_it(store, draft(name, "hi", client_id="c", agent=agent))
            for name, agent in [("u1", "Ann"), ("u2", "Bob"), ("u2", "Ann"), ("u1", None)]
        ]
        assert [o.duplicate for o in outcomes] == [False] * 4
        assert [(o.message.conversation, o.message.seq) for o in outcomes] == [
            ("u1", 1),
            ("u2", 1),
            ("u2", 2),
            ("u1", 2),
        ]


@in_loop
async def test_names_and_client_ids_are_compared_byte_by_byte(place: Place) -> None:
    """What differs in case or accent only stays apart."""
    names = ["Zoe", "zoe", "zoé"]
    async with opened(place) as store:
        for name in names:
            for client_id in ("aB3x", "Ab3X"):
                stored = await store_it(store, draft(name, client_id, client_id=client_id))
                assert stored.duplicate is False
        assert sorted(await store.customers()) == sorted(names)
        for name in names:
            messages = (await store.history(name)).messages
            assert [(m.seq, m.msg) for m in messages] == [(1, "aB3x"), (2, "Ab3X")]


@pytest.mark.parametrize("bad", ["surrogate \ud800", "unwanted"])
@in_loop
async def test_only_the_row_that_the_database_refuses_is_refused(place: Place, bad: str) -> None:
    """The others of its batch are stored in their order, without a hole where it stood."""
    async with opened(place) as store:
        place.refuse_text("unwanted")
        async with one_batch(store, place):
            sent = [
                send(store, draft("u1", bad if n == 7 else f"text {n}", client_id=f"c{n}"))
                for n in range(20)
            ]
        outcomes = await asyncio.gather(*sent)
        refused = outcomes.pop(7)
        assert isinstance(refused, Refused)
        assert (refused.code, refused.client_id) == (ErrorCode.NOT_STORED, "c7")
        messages = [o.message for o in outcomes if isinstance(o, Stored) and not o.duplicate]
        assert [m.msg for m in messages] == [f"text {n}" for n in range(20) if n != 7]
        assert [m.seq for m in messages] == list(range(1, 20))
        assert (await store.history("u1")).messages == messages
    assert (store.counts.stored, store.counts.refused) == (20, 1)


@in_loop
async def test_a_commit_whose_answer_is_lost_is_no_duplicate(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is tried again, finds itself, and answers as if nothing had happened."""
    async with opened(place) as store:
        database = store._writer.database
        commit = database.commit
        commits = itertools.count(1)

        def commit_and_lose_the_answer() -> None:
            commit()
            if next(commits) == 2:  # the first one belongs to what holds the batch up
                raise place.lost_answer()

        old = await store_it(store, draft("u1", "old", client_id="old"))
        async with one_batch(store, place):
            sent = [
                send(store, draft("u1", text, client_id=client_id))
                for text, client_id in [("a", "a"), ("a", "a"), ("b", None), ("old", "old")]
            ]
            monkeypatch.setattr(database, "commit", commit_and_lose_the_answer)
        outcomes = await asyncio.gather(*sent)
        assert [isinstance(o, Stored) and o.duplicate for o in outcomes] == [
            False,
            True,
            False,
            True,
        ]
        messages = (await store.history("u1")).messages
        assert [(m.seq, m.msg) for m in messages] == [(1, "old"), (2, "a"), (3, "b")]
        assert outcomes[2] == Stored(messages[2], duplicate=False)
        assert messages[0] == old.message
    assert (store.counts.retries, store.counts.stored, store.counts.duplicates) == (1, 4, 2)


@in_loop
async def test_a_connection_that_breaks_is_opened_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that cannot even begin is tried again on another connection."""
    async with opened(place) as store:
        await store_it(store, draft("u1", "one"))
        database = store._writer.database
        begin, connect = database.begin, database._connect
        begins, connects = itertools.count(1), itertools.count(1)

        def begin_at_the_second_try() -> None:
            if next(begins) == 1:
                raise place.lost_answer()
            begin()

        monkeypatch.setattr(database, "begin", begin_at_the_second_try)
        monkeypatch.setattr(database, "_connect", lambda: (next(connects), connect())[1])
        assert (await store_it(store, draft("u1", "two"))).message.seq == 2
        assert (next(begins), next(connects)) == (3, 2)
    assert store.counts.retries == 1


@in_loop
async def test_writes_wait_for_a_database_that_is_busy(place: Place) -> None:
    """While the database takes no writes they wait in the queue, then all are stored in order."""
    async with opened(place) as store:
        with place.held():
            sent = [send(store, draft("u1", f"text {n}")) for n in range(50)]
            await until(
                "the writer tries again",
                lambda: store.counts.retries > 0,
                lambda: store.counts.retries,
            )
            assert not any(outcome.done() for outcome in sent)
        outcomes = await asyncio.gather(*sent)
        assert [isinstance(o, Stored) and o.message.seq for o in outcomes] == list(range(1, 51))


@in_loop
async def test_a_full_queue_takes_no_more(place: Place) -> None:
    """Past its number of jobs or its bytes the queue says no, and yes again later."""
    async with opened(place, max_queued_jobs=3, max_queued_bytes=10_000) as store:
        with place.held():
            few = [send(store, draft("u1", "short")) for _ in range(3)]
            assert not store.append(draft("u1", "short"), print)
            assert not store.mark_read("u1", Side.DESK, 1, print)
            assert store.counts.queue_length == 3
        await asyncio.gather(*few)
        await until("it is empty", lambda: store.counts.queue_length == 0, lambda: store.counts)
        with place.held():
            long = send(store, draft("u1", "x" * 9_000))
            assert not store.append(draft("u1", "x" * 9_000), print)
        await long
        await store_it(store, draft("u1", "short"))
    assert store.counts.stored == 5


@in_loop
async def test_closing_finishes_what_is_queued(place: Place) -> None:
    """Everything queued before the close is stored and answered; nothing is taken after it."""
    async with opened(place) as store:
        sent = [send(store, draft("u1", f"text {n}")) for n in range(1200)]
        await store.close()
        assert all(isinstance(outcome.result(), Stored) for outcome in sent)
        assert not store.append(draft("u1", "late"), print)
    async with opened(place) as store:
        assert await store.head("u1") == 1200


@in_loop
async def test_what_cannot_be_stored_by_the_deadline_is_refused_as_busy(place: Place) -> None:
    """A close does not wait for ever: what is left may be sent to another node."""
    async with opened(place) as store:
        with place.held():
            sent = [send(store, draft("u1", f"text {n}", client_id=f"c{n}")) for n in range(600)]
            answer = mark(store, "u1", Side.DESK, 1)
            await store.close(deadline_s=0.1)
        outcomes = [outcome.result() for outcome in sent]
        assert {o.code for o in outcomes if isinstance(o, Refused)} == {ErrorCode.BUSY}
        assert sum(isinstance(o, Refused) and o.retryable for o in outcomes) == 600
        assert answer.result() is None


@in_loop
async def test_a_receiver_that_fails_costs_nobody_else_an_answer(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in one callback is logged, and the callbacks behind it are called."""

    def fail(_: object) -> None:
        raise LookupError("a mistake")

    async with opened(place) as store:
        async with one_batch(store, place):
            assert store.append(draft("u1", "first"), fail)
            second = send(store, draft("u1", "second"))
        assert isinstance(await second, Stored)
    assert "LookupError: a mistake" in caplog.text


@in_loop
async def test_appending_before_registering_is_a_mistake(place: Place) -> None:
    """Message ids need the number of the node, so the order of calls matters."""
    store = Store.open(place.url, asyncio.get_running_loop())
    try:
        with pytest.raises(RuntimeError, match="append before register"):
            store.append(draft("u1", "hi"), print)
    finally:
        await store.close()


@in_loop
async def test_ids_and_times_only_grow(place: Place) -> None:
    """Neither a clock that is set back nor a new life of the node brings an old id or time."""
    now = [2_000_000_000_000]
    async with opened(place, clock=lambda: now[0]) as store:
        one = await store_it(store, draft("u1", "one"))
        now[0] -= 60_000
        two = await store_it(store, draft("u1", "two"))
    async with opened(place, clock=lambda: 1_800_000_000_000) as store:
        three = await store_it(store, draft("u1", "three"))
    assert one.message.id < two.message.id < three.message.id
    assert one.message.create_time == two.message.create_time
