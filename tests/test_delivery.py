"""The way of one message between two nodes that share a database, over a bus that can lose."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import zmqchat.following
from tests.clients import DESK, until
from tests.two_nodes import two_nodes
from zmqchat.errors import ErrorCode, Refused, StoreUnavailable
from zmqchat.mesh.memory import first
from zmqchat.wire.client import MarkRead, Send
from zmqchat.wire.mesh import Audience, Chat, ChatKind, Codec, Header


def test_a_message_reaches_the_other_node_and_comes_back_to_its_sender(tmp_path: Path) -> None:
    """Customer here, desk there; the sender sees it as everybody does."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            customer, desk = await here.open("u1"), await there.open(DESK)
            await here.say(customer, "hello")
            await customer.shows(["hello"])
            await desk.shows(["hello"])

    asyncio.run(main())


def test_what_was_lost_on_the_way_is_read_from_the_store(tmp_path: Path) -> None:
    """The frame after a hole brings the missing ones, in order, with one read."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, network):
            customer, desk = await here.open("u1"), await there.open(DESK)
            await here.say(customer, "one")
            await desk.shows(["one"])
            network.drop(1, 2, first(2))
            for text in ("two", "three", "four"):
                await here.say(customer, text)
            await desk.shows(["one", "two", "three", "four"])
            assert there.delivery.following.gap_reads == 1
            await customer.shows(["one", "two", "three", "four"])

    asyncio.run(main())


def test_a_conversation_that_is_new_to_the_desk_begins_where_it_came(tmp_path: Path) -> None:
    """What was written before the agent came is history; what was lost since then is not."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, network):
            customer = await here.open("u1")
            await here.say(customer, "before")
            await asyncio.sleep(0.005)  # the clock of createTime counts milliseconds
            desk = await there.open(DESK)
            network.drop(1, 2, first(1))
            await here.say(customer, "lost")
            await here.say(customer, "heard")
            await desk.shows(["lost", "heard"])

    asyncio.run(main())


def test_a_customer_who_opens_gets_what_comes_after(tmp_path: Path) -> None:
    """A second session elsewhere is given what is stored from then on, not the history."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            phone = await here.open("u1")
            await here.say(phone, "one")
            laptop = await there.open("u1")
            await here.say(phone, "two")
            await here.say(phone, "three")
            await laptop.shows(["two", "three"])

    asyncio.run(main())


def test_a_retry_is_told_again_but_delivered_once(tmp_path: Path) -> None:
    """The copy is published flagged: who has it drops it, who is new does not begin with it."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            customer = await here.open("u1")
            await here.say(customer, "one", "c1")
            desk = await there.open(DESK)
            await here.say(customer, "one", "c1")
            await here.say(customer, "two", "c2")
            await desk.shows(["two"])
            await customer.shows(["one", "two"])
            acks = [event["data"]["duplicate"] for event in customer.events if event["key"] == 5]
            assert acks == [False, True, False]

    asyncio.run(main())


def test_a_message_whose_node_died_before_publishing_is_found_by_its_retry(
    tmp_path: Path,
) -> None:
    """The retry's frame is flagged as published again, and yet it is the first that arrives."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, network):
            desk = await there.open(DESK)
            customer = await here.open("u1")
            network.cut(1, 2)
            await here.say(customer, "one", "c1")
            network.heal(1, 2)
            await here.say(customer, "one", "c1")
            await desk.shows(["one"])
            assert desk.texts() == ["one"]

    asyncio.run(main())


def test_a_seq_that_nobody_stored_stops_no_conversation(tmp_path: Path) -> None:
    """A frame that tells of more than there is costs one read; what is real goes on."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, network):
            customer, desk = await here.open("u1"), await there.open(DESK)
            await here.say(customer, "one")
            await desk.shows(["one"])
            forged = Chat(ChatKind.MESSAGE, Audience.ALL, "u1", 2**62, b"{}")
            network.inject(Codec("test", 9, 1).encode_chat(forged), 2)
            reads = there.delivery.following
            await until("the hole was read", lambda: reads.gap_reads == 1, lambda: reads.gap_reads)
            for text in ("two", "three"):
                await here.say(customer, text)
            await desk.shows(["one", "two", "three"])
            assert reads.gap_reads == 1

    asyncio.run(main())


def test_a_database_that_is_away_while_somebody_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The customer is turned away; the desk, and whoever comes back, miss nothing afterwards."""
    monkeypatch.setattr(zmqchat.following, "OPEN_TIMEOUT_S", 0.05)
    monkeypatch.setattr(zmqchat.following, "RETRY_READ_S", 0.2)

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            writer = await here.open("u1")
            desk = await there.open(DESK)
            head = there.store.head

            async def away(*_: object) -> int:
                raise StoreUnavailable("away")

            monkeypatch.setattr(there.store, "head", away)
            with pytest.raises(StoreUnavailable):
                await there.open("u1")
            await here.say(writer, "one")
            await here.say(writer, "two")
            monkeypatch.setattr(there.store, "head", head)
            await desk.shows(["one", "two"])
            again = await there.open("u1")
            await here.say(writer, "three")
            await desk.shows(["one", "two", "three"])
            await again.shows(["three"])

    asyncio.run(main())


def test_a_message_that_is_committed_while_its_customer_opens(tmp_path: Path) -> None:
    """An agent who is here is given it, although the customer's history has it already."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            desk, writer = await there.open(DESK), await here.open("u1")
            opening = asyncio.ensure_future(there.open("u1"))
            for text in ("one", "two", "three"):
                await here.say(writer, text)
            await opening
            await desk.shows(["one", "two", "three"])

    asyncio.run(main())


def test_copies_and_late_frames_are_not_delivered_twice(tmp_path: Path) -> None:
    """What a second forwarder would bring again changes nothing."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            customer, desk = await here.open("u1"), await there.open(DESK)
            seen: list[Chat] = []
            deliver = there.on_chat
            there.bus.start(there)

            def twice(header: Header, chat: Chat) -> None:
                seen.append(chat)
                deliver(header, chat)
                deliver(header, seen[0])

            there.on_chat = twice  # type: ignore[method-assign]
            for text in ("one", "two", "three"):
                await here.say(customer, text)
            await desk.shows(["one", "two", "three"])
            assert len(seen) == 3

    asyncio.run(main())


def test_a_read_mark_is_told_when_it_moves(tmp_path: Path) -> None:
    """Both sides of the conversation hear of it, on both nodes."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            customer, desk = await here.open("u1"), await there.open(DESK)
            await here.say(customer, "one")
            await desk.shows(["one"])
            there.delivery.mark_read(desk.session, MarkRead("u1", 1))
            await until(
                "the customer was told",
                lambda: any(event["key"] == 8 for event in customer.events),
                lambda: customer.events,
            )

    asyncio.run(main())


def test_who_is_gone_leaves_nothing_tracked(tmp_path: Path) -> None:
    """Without sessions a node follows no conversation and keeps no place in any."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, there, _):
            customer, desk = await here.open("u1"), await there.open(DESK)
            await here.say(customer, "one")
            await desk.shows(["one"])
            there.delivery.close(desk.session)
            here.delivery.close(customer.session)
            again = await there.open(DESK)
            await here.say(await here.open("u2"), "two")
            await again.shows(["two"])
            assert desk.texts() == ["one"]

    asyncio.run(main())


def test_a_full_queue_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender gets ``busy`` and may try again; nothing is stored twice for it."""

    async def main() -> None:
        async with two_nodes(tmp_path) as (here, _, __):
            customer = await here.open("u1")
            monkeypatch.setattr(here.store, "append", lambda _draft, _done: False)
            with pytest.raises(Refused) as refused:
                here.delivery.send(customer.session, Send("x", "u1", DESK, "c1"))
            assert refused.value.code is ErrorCode.BUSY
            assert refused.value.retryable
            assert refused.value.client_id == "c1"

    asyncio.run(main())
