"""What only buses over real sockets can do wrong; the rest is in the contract suite."""

from __future__ import annotations

import asyncio
import time

import pytest
import uvloop
import zmq

from tests.clients import until
from tests.contract.buses import ANY_PORT, CLUSTER, Kind, Mesh, Node, chat, direct, forwarded
from tests.mesh.strangers import (
    HUGE,
    bind_anywhere,
    raw_socket,
    wait_for_subscription,
    watching_losses,
)
from zmqchat.errors import StartError
from zmqchat.mesh.bus import Peer
from zmqchat.mesh.zeromq import DirectBus, ForwardedBus
from zmqchat.wire.mesh import TOPIC_CHAT, Codec


async def _met(mesh: Mesh, *numbers: int) -> list[Node]:
    nodes = [mesh.join(number).start() for number in numbers]
    await mesh.meet(*nodes)
    return nodes


def _restarted(node: Node) -> Node:
    """Another life of a node at the endpoint it had."""
    node.bus.close()
    again = DirectBus(Codec(CLUSTER, node.number, 2), node.peer.mesh)
    return Node(node.number, again).start()


def test_a_node_that_restarts_on_its_port_is_heard_and_hears() -> None:
    """Topics are subscribed again at the successor: all classes, and frames for one node alone."""

    async def main() -> None:
        with direct() as mesh:
            a, b = await _met(mesh, 1, 2)
            assert b.sink.links == [(1, True, False)]
            a = _restarted(a)
            await mesh.meet(a, b)
            assert b.sink.links[1] == (1, False, False)
            assert b.sink.links[-1] == (1, True, False)
            a.bus.publish_chat(chat(1))
            await b.gets_chat(a, 1)
            assert b.bus.counts.broken_links == 0
            a.bus.close()
            mesh.close()

    asyncio.run(main())


def test_who_connects_is_noticed_before_it_is_known() -> None:
    """A node that follows another need not be followed for that."""

    async def main() -> None:
        with direct() as mesh:
            known, newcomer = (mesh.join(number).start() for number in (1, 2))
            assert known.sink.knocks == 0
            newcomer.bus.follow([known.peer])
            await until("a knock", lambda: known.sink.knocks > 0, lambda: vars(known.sink))
            assert newcomer.sink.knocks == 0
            mesh.close()

    asyncio.run(main())


def test_a_hostile_node_costs_its_link_and_its_successor_is_heard() -> None:
    """10 MB on the chat link of a node: cut, counted, mended; others are heard all the while."""

    async def main() -> None:
        with direct() as mesh:
            a, b = await _met(mesh, 1, 2)
            with raw_socket(zmq.XPUB) as hostile:
                endpoint = bind_anywhere(hostile)
                b.bus.follow([a.peer, Peer(3, "n3", endpoint)])
                await wait_for_subscription(hostile, TOPIC_CHAT)
                hostile.send(HUGE)
                await until(
                    "the broken link",
                    lambda: b.bus.counts.broken_links == 1,
                    lambda: vars(b.bus.counts),
                )
            a.bus.publish_chat(chat(1))
            await b.gets_chat(a, 1)
            proper = Node(3, DirectBus(Codec(CLUSTER, 3, 1), endpoint)).start()
            await mesh.meet(a, b, proper)
            proper.bus.publish_chat(chat(2))
            await b.gets_chat(proper, 1)
            assert b.bus.counts.repaired_links == 1
            assert not b.bus.counts.dropped
            proper.bus.close()
            mesh.close()

    asyncio.run(main())


def test_a_huge_frame_to_the_port_of_a_node_is_cut_off() -> None:
    """A stranger that connects to a node's PUB and sends 10 MB loses its connection."""

    async def main() -> None:
        with direct() as mesh, raw_socket(zmq.XSUB) as stranger:
            a, b = await _met(mesh, 1, 2)
            stranger.connect(a.peer.mesh)
            with watching_losses(stranger) as lost:
                stranger.send(HUGE)
                await until("the cut", lost, lambda: vars(a.bus.counts))
            a.bus.publish_chat(chat(1))
            await b.gets_chat(a, 1)
            mesh.close()

    asyncio.run(main())


def test_a_taken_endpoint_is_a_start_error_and_leaves_nothing_open() -> None:
    """The text names the endpoint; unclosed sockets would fail this test as warnings."""
    first = DirectBus(Codec(CLUSTER, 1, 1), ANY_PORT)
    with pytest.raises(StartError, match=f"cannot listen on {first.endpoint}: the port is in use"):
        DirectBus(Codec(CLUSTER, 2, 1), first.endpoint)
    first.close()


def test_who_has_no_endpoint_and_the_node_itself_are_not_followed() -> None:
    """A peer that did not announce its endpoint yet is left out, without a word."""

    async def main() -> None:
        with direct() as mesh:
            a, b = await _met(mesh, 1, 2)
            b.bus.follow([a.peer, b.peer, Peer(3, "n3", "")])
            a.bus.publish_chat(chat(1))
            await b.gets_chat(a, 1)
            mesh.close()

    asyncio.run(main())


@pytest.mark.parametrize("kind", [direct, lambda: forwarded(2)], ids=["direct", "two forwarders"])
def test_buses_run_on_uvloop(kind: Kind) -> None:
    """A thousand frames arrive in order on the faster loop, in both topologies."""

    async def main() -> None:
        with kind() as mesh:
            a, b = await _met(mesh, 1, 2)
            for number in range(1000):
                a.bus.publish_chat(chat(number))
            await b.gets_chat(a, 1000)
            assert b.sink.chat_numbers(1) == list(range(1000))
            mesh.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_closing_waits_a_second_at_most_for_a_forwarder_that_is_gone() -> None:
    """Nobody is there to take what is queued; the node leaves all the same."""
    bus = ForwardedBus(Codec(CLUSTER, 1, 1), [("tcp://127.0.0.1:20001", "tcp://127.0.0.1:20002")])
    bus.publish_chat(chat(1))
    began = time.monotonic()
    bus.close()
    assert 0.9 < time.monotonic() - began < 1.9


def test_closing_waits_a_second_at_most_for_a_peer_that_does_not_read() -> None:
    """A peer that keeps its connection and takes nothing cannot hold a node."""

    async def main() -> None:
        with direct() as mesh:
            a = mesh.join(1).start()
            with raw_socket(zmq.SUB) as frozen:
                frozen.setsockopt(zmq.RCVHWM, 1)
                frozen.setsockopt(zmq.SUBSCRIBE, TOPIC_CHAT)
                frozen.connect(a.peer.mesh)

                def taken() -> bool:
                    a.bus.publish_chat(chat(1))
                    return bool(frozen.poll(0))

                await until("the subscription", taken, lambda: vars(a.bus.counts))
                for number in range(9000):
                    a.bus.publish_chat(chat(number, b"%d" % number * 500))
                began = time.monotonic()
                a.bus.close()
                assert time.monotonic() - began < 1.9

    asyncio.run(main())
