"""Strangers at the ports of a mesh with keys: nothing goes in, nothing comes out, and few words."""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
from collections.abc import Callable, Iterator

import pytest
import zmq

from tests.clients import until
from tests.contract.buses import (
    ANY_PORT,
    CLUSTER,
    KEYS,
    Mesh,
    Node,
    Stranger,
    beat,
    chat,
    direct,
    running_forwarder,
)
from tests.mesh.strangers import raw_socket
from zmqchat.mesh.bus import NO_KEY, UNFINISHED, WRONG_KEY, BusCounts
from zmqchat.mesh.door import ZAP_ENDPOINT, Door
from zmqchat.mesh.keys import KeyPair, Keys
from zmqchat.mesh.sockets import bind, open_socket
from zmqchat.mesh.zeromq import DirectBus, ForwardedBus
from zmqchat.wire.mesh import Codec

OURS = KeyPair.of("5e" * 32)
THEIRS = KeyPair.of("7f" * 32)

# What somebody without our secret may show, and whom they may expect.
Approach = Callable[[zmq.SyncSocket], None]


def _as_anybody(_socket: zmq.SyncSocket) -> None:
    """Speak without CURVE."""


def _with_another_key(socket: zmq.SyncSocket) -> None:
    _show(socket, THEIRS, THEIRS.public)


def _knowing_our_public_key(socket: zmq.SyncSocket) -> None:
    _show(socket, THEIRS, OURS.public)


def _show(socket: zmq.SyncSocket, pair: KeyPair, expected: bytes) -> None:
    socket.setsockopt(zmq.CURVE_PUBLICKEY, pair.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, pair.secret)
    socket.setsockopt(zmq.CURVE_SERVERKEY, expected)


STRANGERS = (_as_anybody, _with_another_key, _knowing_our_public_key)


@contextlib.contextmanager
def _stranger(kind: zmq.SocketType, approach: Approach, endpoint: str) -> Iterator[zmq.SyncSocket]:
    with raw_socket(kind) as stranger:
        stranger.setsockopt(zmq.RECONNECT_IVL, 20)
        approach(stranger)
        if kind == zmq.SUB:
            stranger.setsockopt(zmq.SUBSCRIBE, b"")
        stranger.connect(endpoint)
        yield stranger


async def _refused(counts: BusCounts, times: int, *reasons: str) -> None:
    await until(
        f"{times} refusals",
        lambda: sum(counts.refused[reason] for reason in reasons) >= times,
        lambda: counts.refused,
    )


async def _refused_at(counts: BusCounts, approach: Approach, ports: int) -> None:
    """Wait until a stranger was refused at each of so many ports."""
    if approach is _as_anybody:  # each end sees that the other speaks differently, and one is first
        await _refused(counts, ports, NO_KEY, UNFINISHED)
    else:
        await _refused(counts, 2 * ports, WRONG_KEY)


@pytest.mark.parametrize("approach", STRANGERS)
def test_a_stranger_at_the_port_of_a_node_hears_nothing(
    approach: Approach, caplog: pytest.LogCaptureFixture
) -> None:
    """It tries and tries while the nodes talk; it is counted each time and told of once."""

    async def main() -> None:
        with direct(KEYS) as mesh:
            a, b = await _met(mesh)
            with _stranger(zmq.SUB, approach, a.peer.mesh) as listening:
                await _refused_at(a.bus.counts, approach, 1)
                await _talk(a, b)
                assert not listening.poll(0)
            mesh.close()

    asyncio.run(main())
    _told_once_of_each(caplog, approach)


@pytest.mark.parametrize("approach", STRANGERS)
def test_a_stranger_at_a_forwarder_neither_hears_nor_is_heard(
    approach: Approach, caplog: pytest.LogCaptureFixture
) -> None:
    """Its frames, right in all but the key, reach nobody, and it gets no subscription to see."""
    forged = Codec(CLUSTER, 9, 1).encode_chat(chat(1))

    async def main() -> None:
        with running_forwarder(keys=KEYS) as forwarder:
            ends = [(forwarder.xsub, forwarder.xpub)]
            mesh = Mesh(lambda codec: ForwardedBus(codec, ends, KEYS), _nobody)
            a, b = await _met(mesh)
            with (
                _stranger(zmq.SUB, approach, forwarder.xpub) as listening,
                _stranger(zmq.XPUB, approach, forwarder.xsub) as publishing,
            ):
                publishing.send(forged)
                await _refused_at(forwarder.counts, approach, 2)
                publishing.send(forged)
                await _talk(a, b)
                assert not listening.poll(0)
                assert not publishing.poll(0)
            assert {node for node, _ in b.sink.chats} == {1}
            mesh.close()

    asyncio.run(main())
    _told_once_of_each(caplog, approach)


def _nobody() -> Stranger:
    raise AssertionError("nobody asked for one")


async def _met(mesh: Mesh) -> tuple[Node, Node]:
    a, b = mesh.join(1).start(), mesh.join(2).start()
    await mesh.meet(a, b)
    return a, b


async def _talk(a: Node, b: Node) -> None:
    for number in range(100):
        a.bus.publish_chat(chat(number))
        a.bus.publish_control(beat(number))
    await b.gets_chat(a, 100)
    await b.gets_beat(a, 99)


def _told_once_of_each(caplog: pytest.LogCaptureFixture, approach: Approach) -> None:
    lines = [record.getMessage() for record in caplog.records]
    assert lines or approach is _as_anybody
    assert len(set(lines)) == len(lines)
    assert all("connection refused" in line and "127.0.0.1" in line for line in lines)


def test_a_node_with_plain_frames_hears_nothing_of_one_with_keys() -> None:
    """Nor the other way round; once both have the keys, they find each other by themselves."""

    async def main() -> None:
        plain = Node(1, DirectBus(Codec(CLUSTER, 1, 1), ANY_PORT)).start()
        keyed = Node(2, DirectBus(Codec(CLUSTER, 2, 1), ANY_PORT, KEYS)).start()
        plain.bus.follow([keyed.peer])
        keyed.bus.follow([plain.peer])
        await _refused(keyed.bus.counts, 1, NO_KEY, UNFINISHED)
        await until(
            "a link given up",
            lambda: keyed.bus.counts.broken_links > 0,
            lambda: vars(keyed.bus.counts),
        )
        for node in (plain, keyed):
            node.warm_up()
        assert plain.sink.warm_ups == keyed.sink.warm_ups == []
        plain.bus.close()
        again = Node(1, DirectBus(Codec(CLUSTER, 1, 2), plain.peer.mesh, KEYS)).start()
        again.bus.follow([keyed.peer])
        await _hears(again, keyed)
        await _hears(keyed, again)
        for node in (again, keyed):
            node.bus.close()

    asyncio.run(main())


async def _hears(node: Node, other: Node) -> None:
    def heard() -> bool:
        other.warm_up()
        return any(origin == other.number for origin, _, _ in node.sink.warm_ups)

    await until("a frame", heard, lambda: vars(node.bus.counts))


def test_a_thousand_half_open_connections_keep_nobody_out() -> None:
    """They say nothing, and end by the time limit; meanwhile frames flow and a node joins."""

    async def main() -> None:
        with direct(KEYS) as mesh, contextlib.ExitStack() as stack:
            a, b = await _met(mesh)
            host, _, port = a.peer.mesh.removeprefix("tcp://").partition(":")
            for _ in range(1000):
                stack.enter_context(sockets.create_connection((host, int(port)), timeout=5))
            assert a.bus.counts.refused[UNFINISHED] < 1000
            await _talk(a, b)
            late = mesh.join(3).start()
            await mesh.meet(a, late)
            await _refused(a.bus.counts, 1000, UNFINISHED)
            mesh.close()

    asyncio.run(main())


# -- the handler itself -------------------------------------------------------------------------


@contextlib.contextmanager
def _asking(keys: Keys = KEYS) -> Iterator[tuple[zmq.SyncSocket, BusCounts]]:
    """Ask a door as libzmq does."""
    counts = BusCounts()
    with (
        zmq.Context() as context,
        contextlib.closing(Door(context, keys, counts)),
        context.socket(zmq.DEALER) as asking,
    ):
        asking.setsockopt(zmq.LINGER, 0)
        asking.connect(ZAP_ENDPOINT)
        yield asking, counts


def _request(key: bytes, **other: bytes) -> list[bytes]:
    fields = {
        "version": b"1.0",
        "number": b"7",
        "domain": b"zmqchat",
        "address": b"192.0.2.1",
        "identity": b"",
        "mechanism": b"CURVE",
    } | other
    return [b"", *fields.values(), key]


GOOD = _request(next(iter(KEYS.public)))


def test_the_door_knows_its_keys() -> None:
    """Both keys are let in; another is told to try again later, and counted."""
    both = Keys(["5e" * 32, "7f" * 32])
    with _asking(both) as (asking, counts):
        for key in both.public:
            asking.send_multipart(_request(key))
            assert asking.recv_multipart()[:4] == [b"", b"1.0", b"7", b"200"]
        asking.send_multipart(_request(b"k" * 32))
        assert asking.recv_multipart()[:4] == [b"", b"1.0", b"7", b"300"]
        assert counts.refused == {WRONG_KEY: 1}


@pytest.mark.parametrize(
    "bad",
    [
        [],
        [b""],
        GOOD[:-1],
        [*GOOD, b"more"],
        [b"x", *GOOD[1:]],
        [b"\xff" * 1000] * 20,
        _request(GOOD[-1], version=b"2.0"),
        _request(GOOD[-1], domain=b""),
        _request(GOOD[-1], mechanism=b"NULL"),
        _request(b"", address=b"\xff\xfe"),
    ],
)
def test_what_is_no_proper_request_lets_nobody_in(bad: list[bytes]) -> None:
    """None is answered with 200, and the next proper one is answered as ever."""
    with _asking() as (asking, _):
        asking.send_multipart(bad or [b""])
        asking.send_multipart(_request(GOOD[-1], number=b"8"))
        while (answer := asking.recv_multipart())[2] != b"8":
            assert answer[3] == b"300"
        assert answer[3] == b"200"


def test_a_busy_event_loop_keeps_nobody_out() -> None:
    """A peer is let in by a node whose main thread does something else all the while."""
    bus = DirectBus(Codec(CLUSTER, 1, 1), ANY_PORT, KEYS)
    with raw_socket(zmq.SUB) as peer:
        _show(peer, OURS, OURS.public)
        with contextlib.closing(peer.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)) as monitor:
            peer.connect(bus.endpoint)
            assert monitor.poll(5000)
            peer.disable_monitor()
    bus.close()


def test_without_its_door_a_socket_lets_nobody_in() -> None:
    """CURVE alone would take any key; the enforced domain takes none."""
    with zmq.Context() as context, open_socket(context, zmq.PUB) as publisher:
        KEYS.serve(publisher)
        endpoint = bind(publisher, ANY_PORT)
        with raw_socket(zmq.SUB) as peer:
            peer.setsockopt(zmq.SUBSCRIBE, b"")
            _show(peer, OURS, OURS.public)
            lost = peer.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED)
            peer.connect(endpoint)
            assert lost.poll(5000)
            event = int.from_bytes(lost.recv_multipart()[0][:2], "little")
            assert event == zmq.EVENT_DISCONNECTED
            peer.disable_monitor()
            lost.close()
