"""Which key a link expects, and how keys are replaced one node at a time."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.clients import until
from tests.contract.buses import ANY_PORT, CLUSTER, Node, chat, running_forwarder
from zmqchat.mesh.keys import NO_KEYS, PATIENCE, Keys, ServerKeys
from zmqchat.mesh.zeromq import DirectBus, ForwardedBus
from zmqchat.wire.mesh import Codec

OLD, NEW = "01" * 32, "02" * 32
PHASES = ([OLD], [OLD, NEW], [NEW, OLD], [NEW])


def test_the_other_key_is_tried_after_two_failures_in_turn() -> None:
    """A handshake that succeeds begins the count anew, for its own link alone."""
    server_keys = ServerKeys(Keys([OLD, NEW]))
    failures = [server_keys.failed("a") for _ in range(3 * PATIENCE)]
    assert failures == [False, True] * 3
    assert not server_keys.failed("a")
    server_keys.succeeded("a")
    assert not server_keys.failed("a")
    assert not server_keys.failed("b")
    assert server_keys.failed("a")


@pytest.mark.parametrize("keys", [NO_KEYS, Keys([OLD])])
def test_without_another_key_nothing_is_tried(keys: Keys) -> None:
    """Trying again is left to libzmq."""
    server_keys = ServerKeys(keys)
    assert not any(server_keys.failed("a") for _ in range(10))


def test_neighbouring_phases_of_a_replacement_hear_each_other() -> None:
    """Two nodes, of which one is a phase ahead, in both directions; phases apart do not."""

    async def main() -> None:
        nodes = [
            Node(number, DirectBus(Codec(CLUSTER, number, 1), ANY_PORT, Keys(phase))).start()
            for number, phase in enumerate(PHASES, 1)
        ]
        for node in nodes:
            node.bus.follow(other.peer for other in nodes if other is not node)
        neighbours = {
            (a.number, b.number)
            for pair in itertools.pairwise(nodes)
            for a, b in (pair, pair[::-1])
        }

        def heard() -> set[tuple[int, int]]:
            return {(node.number, one[0]) for node in nodes for one in node.sink.warm_ups}

        def all_heard() -> bool:
            for node in nodes:
                node.warm_up()
            return heard() >= neighbours

        await until("neighbours", all_heard, heard)
        assert (1, 4) not in heard()
        assert (4, 1) not in heard()
        for node in nodes:
            node.bus.close()

    asyncio.run(main())


def test_a_forwarder_that_comes_back_with_the_other_key_is_found() -> None:
    """Nodes with both keys go on over it within seconds, in every phase."""

    async def main() -> None:
        with running_forwarder(keys=Keys([OLD, NEW])) as forwarder:
            ends = [(forwarder.xsub, forwarder.xpub)]
            a, b = (
                Node(number, ForwardedBus(Codec(CLUSTER, number, 1), ends, Keys([OLD, NEW])))
                for number in (1, 2)
            )
            await _hears(a.start(), b.start())
        with running_forwarder(*ends[0], keys=Keys([NEW, OLD])):
            await _hears(a, b)
            for node in (a, b):
                node.bus.close()

    asyncio.run(main())


_numbers = itertools.count(1)


async def _hears(node: Node, other: Node) -> None:
    def heard() -> bool:
        number = next(_numbers)
        other.bus.publish_chat(chat(number))
        return bool(node.sink.chats) and node.sink.chats[-1][1].seq > number - 50

    node.sink.chats.clear()
    await until("a frame", heard, lambda: vars(node.bus.counts))
