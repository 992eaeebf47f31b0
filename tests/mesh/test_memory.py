"""The faults that the network in memory can make."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from tests.clients import until
from tests.contract.buses import Node, beat, chat
from zmqchat.mesh.memory import FrameClass, MemoryNetwork, chance, first
from zmqchat.wire.mesh import Codec

Story = Callable[[MemoryNetwork, Node, Node], Awaitable[None]]


def _tell(story: Story) -> None:
    """Run a story of two nodes that hear each other."""

    async def main() -> None:
        network = MemoryNetwork()
        a, b = (Node(number, network.bus(Codec("memory", number, 1))).start() for number in (1, 2))
        a.bus.follow([b.peer])
        b.bus.follow([a.peer])
        await story(network, a, b)
        a.bus.close()
        b.bus.close()

    asyncio.run(main())


def test_a_cut_is_one_way_and_heals() -> None:
    """What is sent into a cut is lost; the other way and the time after are not touched."""

    async def story(network: MemoryNetwork, a: Node, b: Node) -> None:
        network.cut(1, 2)
        a.bus.publish_chat(chat(1))
        b.bus.publish_chat(chat(2))
        await a.gets_chat(b, 1)
        network.heal(1, 2)
        a.bus.publish_chat(chat(3))
        await b.gets_chat(a, 1)
        assert b.sink.chat_numbers(1) == [3]

    _tell(story)


def test_a_fault_may_touch_one_class_alone() -> None:
    """With control cut, chat goes on."""

    async def story(network: MemoryNetwork, a: Node, b: Node) -> None:
        network.cut(1, 2, [FrameClass.CONTROL])
        a.bus.publish_control(beat(1))
        a.bus.publish_chat(chat(1))
        await b.gets_chat(a, 1)
        assert b.sink.controls == []

    _tell(story)


def test_a_delay_holds_frames_back_and_keeps_their_order() -> None:
    """Frames of a fast time do not overtake those of a slow one on the same link."""

    async def story(network: MemoryNetwork, a: Node, b: Node) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, delay_s in enumerate([0.05, 0.02, 0.0, 0.0]):
            network.delay(1, 2, delay_s)
            a.bus.publish_chat(chat(number))
        b.bus.publish_chat(chat(9))
        await a.gets_chat(b, 1)
        assert b.sink.chats == []
        await b.gets_chat(a, 4)
        assert b.sink.chat_numbers(1) == [0, 1, 2, 3]
        assert loop.time() - began >= 0.05

    _tell(story)


def test_frames_are_lost_by_count_by_rule_and_by_chance() -> None:
    """The first two; those a predicate names; and about half, the same ones with the same seed."""

    async def story(network: MemoryNetwork, a: Node, b: Node) -> None:
        network.drop(1, 2, first(2))
        for number in range(4):
            a.bus.publish_chat(chat(number))
        network.drop(1, 2, lambda frame: b"drop me" in frame)
        for number, body in ((4, b"drop me"), (5, b"keep me")):
            a.bus.publish_chat(chat(number, body))
        await b.gets_chat(a, 3)
        assert b.sink.chat_numbers(1) == [2, 3, 5]

        network.drop(1, 2, chance(0.5, random.Random(7)))
        for number in range(100, 300):
            a.bus.publish_chat(chat(number))
        network.heal(1, 2)
        a.bus.publish_chat(chat(999))
        await until("the fence", lambda: 999 in b.sink.chat_numbers(1), lambda: b.sink.chats[-1:])
        rng = random.Random(7)
        kept = [number for number in range(100, 300) if rng.random() >= 0.5]
        assert b.sink.chat_numbers(1)[3:-1] == kept

    _tell(story)


@pytest.mark.parametrize("frame", [b"", b"m/", b"h/ nonsense", b"anything"])
def test_injected_bytes_are_counted_and_dropped(frame: bytes) -> None:
    """Bytes of a stranger reach the one node they are meant for, and end there."""

    async def story(network: MemoryNetwork, a: Node, b: Node) -> None:
        network.inject(frame, 2)
        await until(
            "the count", lambda: b.bus.counts.dropped.total() == 1, lambda: b.bus.counts.dropped
        )
        assert not a.bus.counts.dropped
        assert not b.sink.chats
        assert not b.sink.controls

    _tell(story)


def test_frames_on_their_way_arrive_after_their_sender_left_and_not_after_its_receiver() -> None:
    """Closing a sender loses nothing, closing a receiver loses what comes."""

    async def story(network: MemoryNetwork, a: Node, b: Node) -> None:
        network.delay(1, 2, 0.02)
        network.delay(2, 1, 0.02)
        a.bus.publish_chat(chat(1))
        b.bus.publish_chat(chat(2))
        a.bus.close()
        await b.gets_chat(a, 1)
        assert a.sink.chats == []

    _tell(story)
