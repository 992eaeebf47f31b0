"""What every store promises of logins: epochs, who goes on with one, and whose drafts are late."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.contract.stores import Place, draft, in_loop, log_in, one_batch, opened, send, store_it
from zmqchat.core.logins import Login
from zmqchat.errors import ErrorCode, Refused, StoreUnavailable
from zmqchat.store.ports import Stored


@in_loop
async def test_each_login_takes_the_next_epoch_of_its_user(place: Place) -> None:
    """Epochs are 1, 2, 3 for each user, also when several log in in one batch."""
    async with opened(place) as store:
        assert await log_in(store, "Ann", "s1") == Login("Ann", 1, "s1", 7)
        async with one_batch(store, place):
            users = ("Ann", "Bob", "Ann", "ann", "Ann")
            tasks = [
                asyncio.ensure_future(log_in(store, user, f"t{number}"))
                for number, user in enumerate(users)
            ]
            await asyncio.sleep(0)
        logins = await asyncio.gather(*tasks)
        assert [(one.user, one.epoch) for one in logins] == [
            ("Ann", 2),
            ("Bob", 1),
            ("Ann", 3),
            ("ann", 1),
            ("Ann", 4),
        ]
        newest = await store.newest_logins(["Ann", "Bob", "nobody"])
        assert sorted(newest, key=lambda one: one.user) == [
            Login("Ann", 4, "t4", 7),
            Login("Bob", 1, "t1", 7),
        ]


@in_loop
async def test_going_on_with_a_login_ends_when_somebody_else_logs_in(place: Place) -> None:
    """It takes the next epoch under the same name; once replaced, it gets the other's login."""
    async with opened(place) as store:
        await log_in(store, "Ann", "s1")
        for epoch in (2, 3):
            assert await log_in(store, "Ann", "s1", continues=True) == Login("Ann", epoch, "s1", 7)
        other = await log_in(store, "Ann", "s2")
        assert other.epoch == 4
        assert await log_in(store, "Ann", "s1", continues=True) == other
        assert await store.newest_logins(["Ann"]) == [other]


@in_loop
async def test_going_on_in_the_batch_of_another_login(place: Place) -> None:
    """The order of the queue decides, as if each login had a batch of its own."""
    async with opened(place) as store:
        await log_in(store, "Ann", "s1")
        async with one_batch(store, place):
            tasks = [
                asyncio.ensure_future(log_in(store, "Ann", session, continues=continues))
                for session, continues in [("s1", True), ("s2", False), ("s1", True), ("s2", True)]
            ]
            await asyncio.sleep(0)
        logins = await asyncio.gather(*tasks)
        assert [(one.session, one.epoch) for one in logins] == [
            ("s1", 2),
            ("s2", 3),
            ("s2", 4),  # refused: the newest login is another's
            ("s2", 4),
        ]


@in_loop
async def test_who_goes_on_where_no_login_is_known_logs_in(place: Place) -> None:
    """After a restore an old proof is as good as a new login."""
    async with opened(place) as store:
        assert await log_in(store, "Ann", "s1", continues=True) == Login("Ann", 1, "s1", 7)


@in_loop
async def test_late_authors_are_refused_inside_the_batch(place: Place) -> None:
    """Who has logged in since writes nothing under the old epoch; the others are stored."""
    async with opened(place) as store:
        for number in range(2):
            await log_in(store, "Ann", f"s{number}")
        async with one_batch(store, place):
            sent = [
                send(store, draft("u1", "ghost", client_id="c1", agent="Ann", login_epoch=1)),
                send(store, draft("u1", "alive", client_id="c1", agent="Ann", login_epoch=2)),
                send(store, draft("u1", "customer")),
                send(store, draft("u1", "nameless ghost", agent="Ann", login_epoch=1)),
                send(store, draft("u2", "never logged in", login_epoch=1)),
            ]
        ghost, alive, customer, nameless, other = await asyncio.gather(*sent)
        for refused, client_id in ((ghost, "c1"), (nameless, None)):
            assert isinstance(refused, Refused)
            assert (refused.code, refused.client_id) == (ErrorCode.SUPERSEDED, client_id)
        assert [isinstance(o, Stored) and o.message.seq for o in (alive, customer, other)] == [
            1,
            2,
            1,
        ]
        assert [m.msg for m in (await store.history("u1")).messages] == ["alive", "customer"]
    assert store.counts.refused == 2


@in_loop
async def test_what_is_written_in_the_batch_of_the_next_login_is_not_late(place: Place) -> None:
    """A login ends what comes after it, not what is committed together with it."""
    async with opened(place) as store:
        await log_in(store, "Ann", "s1")
        async with one_batch(store, place):
            login = asyncio.ensure_future(log_in(store, "Ann", "s2"))
            await asyncio.sleep(0)
            sent = send(store, draft("u1", "just in time", agent="Ann", login_epoch=1))
        assert (await login).epoch == 2
        assert isinstance(await sent, Stored)
        late = await send(store, draft("u1", "late", agent="Ann", login_epoch=1))
        assert isinstance(late, Refused)


@in_loop
async def test_what_was_stored_before_a_lost_answer_is_not_late(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that is tried again knows its own messages, though its login made them old."""
    async with opened(place) as store:
        await log_in(store, "Ann", "s1")
        database = store._writer.database
        commit = database.commit
        commits = itertools.count(1)

        def commit_and_lose_the_answer() -> None:
            commit()
            if next(commits) == 2:  # the first one belongs to what holds the batch up
                raise place.lost_answer()

        async with one_batch(store, place):
            sent = send(store, draft("u1", "once", client_id="c", agent="Ann", login_epoch=1))
            login = asyncio.ensure_future(log_in(store, "Ann", "s2"))
            await asyncio.sleep(0)
            monkeypatch.setattr(database, "commit", commit_and_lose_the_answer)
        outcome = await sent
        assert isinstance(outcome, Stored)
        assert not outcome.duplicate
        assert (await login).epoch == 3  # the epoch of the first try was never handed out
        assert await store.head("u1") == 1


@in_loop
async def test_who_may_have_many_sessions_leaves_no_login(place: Place) -> None:
    """A draft without an epoch is stored whoever has logged in, and makes no row."""
    async with opened(place) as store:
        await log_in(store, "Ann", "s1")
        await store_it(store, draft("u1", "hi", agent="Ann"))
        await store_it(store, draft("u1", "hi"))
    assert place.run("SELECT user FROM login") == [("Ann",)]


@in_loop
async def test_a_login_is_given_up_when_the_store_closes(place: Place) -> None:
    """Neither a full queue nor a database that is busy to the end leaves anybody waiting."""
    async with opened(place, max_queued_jobs=2) as store:
        with place.held():
            tasks = [asyncio.ensure_future(log_in(store, "Ann", f"s{n}")) for n in range(3)]
            await asyncio.sleep(0)
            await store.close(deadline_s=0.1)
        for task in tasks:
            with pytest.raises(StoreUnavailable):
                await task


@in_loop
async def test_the_cluster_has_one_secret(place: Place) -> None:
    """Who asks first makes it, and all others get the same, in another life too."""
    async with opened(place) as one, opened(place, "n2") as two:
        secrets = await asyncio.gather(*(store.cluster_secret() for store in (one, two, one)))
    async with opened(place) as later:
        secrets.append(await later.cluster_secret())
    assert len(set(secrets)) == 1
    assert len(secrets[0]) == 32
