"""Options and binding of mesh sockets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import zmq

from zmqchat.errors import StartError
from zmqchat.mesh.sockets import HIGH_WATER_FRAMES, bind, open_socket

ANY_PORT = "tcp://127.0.0.1:0"
FIRST_EPHEMERAL_PORT = 32_768


Open = Callable[[zmq.SocketType], zmq.SyncSocket]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens sockets of the mesh, and closes them at the end."""
    sockets: list[zmq.SyncSocket] = []  # a context does not keep its sockets alive
    with zmq.Context() as context:

        def opened(kind: zmq.SocketType) -> zmq.SyncSocket:
            sockets.append(open_socket(context, kind))
            return sockets[-1]

        yield opened
        context.destroy(linger=0)


def test_a_free_port_is_one_that_no_connection_starts_from(opened: Open) -> None:
    """Every port given out lies below the range that Linux takes for near ends."""
    endpoints = {bind(opened(zmq.PUB), ANY_PORT) for _ in range(50)}
    assert len(endpoints) == 50
    assert all(int(endpoint.rpartition(":")[2]) < FIRST_EPHEMERAL_PORT for endpoint in endpoints)


def test_a_port_in_use_is_told_in_one_line(opened: Open) -> None:
    """The second to bind learns which endpoint it could not have, and why."""
    endpoint = bind(opened(zmq.PUB), ANY_PORT)
    with pytest.raises(StartError) as caught:
        bind(opened(zmq.PUB), endpoint)
    assert str(caught.value) == f"cannot listen on {endpoint}: the port is in use"


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ("nonsense", "expected tcp://host:port"),
        ("tcp://127.0.0.1", "expected tcp://host:port"),
        ("http://127.0.0.1:0", "expected tcp://host:port"),
        ("tcp://192.0.2.1:0", "this machine has no such address"),
        ("tcp://nowhere.invalid:7001", "this machine has no such address"),
    ],
)
def test_an_endpoint_that_cannot_be_is_told_with_what_was_expected(
    opened: Open, endpoint: str, problem: str
) -> None:
    """Each mistake names the endpoint and what is wrong with it."""
    with pytest.raises(StartError) as caught:
        bind(opened(zmq.PUB), endpoint)
    assert str(caught.value) == f"cannot listen on {endpoint}: {problem}"


def test_subscriptions_past_the_high_water_mark_all_arrive(opened: Open) -> None:
    """More subscriptions than frames fit reach a publisher, and its successor on the port."""
    wanted = {b"\x01%d/" % number for number in range(HIGH_WATER_FRAMES + 2000)}
    subscriber = opened(zmq.SUB)
    for subscription in wanted:
        subscriber.setsockopt(zmq.SUBSCRIBE, subscription[1:])
    endpoint = ANY_PORT
    for _ in range(2):
        with zmq.Context() as context, open_socket(context, zmq.XPUB) as publisher:
            endpoint = bind(publisher, endpoint)
            subscriber.connect(endpoint)  # the second time it is connected, and nothing happens
            heard: set[bytes] = set()
            deadline = time.monotonic() + 10
            while heard != wanted:
                assert time.monotonic() < deadline, f"{len(wanted - heard)} are missing"
                subscriber.poll(0)  # only a socket in use subscribes again
                while publisher.poll(10):
                    heard.add(publisher.recv())


def test_reconnect_intervals_differ(opened: Open) -> None:
    """Sockets do not come back to a restarted peer in step."""
    sockets = [opened(zmq.SUB) for _ in range(20)]
    intervals = {socket.getsockopt(zmq.RECONNECT_IVL) for socket in sockets}
    assert len(intervals) > 5
    assert all(100 <= int(interval) <= 300 for interval in intervals)
