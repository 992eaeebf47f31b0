"""Links that libzmq gives up on are made again; others are left to it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
import time
from collections.abc import Iterator

import pytest
import zmq

from tests.clients import until
from tests.mesh.strangers import (
    HUGE,
    bind_anywhere,
    listening,
    raw_socket,
    wait_for_subscription,
)
from zmqchat.mesh import links
from zmqchat.mesh.bus import BusCounts
from zmqchat.mesh.drain import Drain
from zmqchat.mesh.links import Link, Links
from zmqchat.mesh.sockets import open_socket

TOPIC = b"m/"


class Listener:
    """A SUB with its links and its drain, as a bus has two of."""

    def __init__(self) -> None:
        self.counts = BusCounts()
        self.taken: list[bytes] = []
        self.changes: list[Link] = []
        self._context: zmq.SyncContext = zmq.Context()
        self.socket = open_socket(self._context, zmq.SUB)
        self.socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
        receive = functools.partial(self.socket.recv, zmq.DONTWAIT)
        self.drain = Drain(self.socket, receive, self.taken.append)
        self.links = Links(
            self.socket,
            self.counts,
            touched=self.drain.schedule,
            changed=lambda _, link: self.changes.append(link),
        )
        self._listening = contextlib.ExitStack()
        self._listening.callback(self.links.close)
        self._listening.callback(self.drain.stop)

    def start(self, *endpoints: str) -> None:
        """Follow endpoints in the running loop."""
        self.links.follow(endpoints)
        self.links.start()
        self.drain.start()

    async def hears(self, publisher: zmq.SyncSocket, frame: bytes) -> None:
        """Publish a frame until it arrives."""

        def heard() -> bool:
            publisher.send(frame)
            return frame in self.taken

        await until(f"{frame!r} to arrive", heard, lambda: (self.taken[-3:], vars(self.counts)))

    async def counts_broken(self, count: int = 1) -> None:
        """Wait until so many links were given up."""
        await until(
            "broken links", lambda: self.counts.broken_links == count, lambda: vars(self.counts)
        )

    async def counts_repaired(self, count: int = 1) -> None:
        """Wait until so many links were made again."""
        await until(
            "repaired links", lambda: self.counts.repaired_links == count, lambda: vars(self.counts)
        )

    async def changes_to(self, *changes: Link) -> None:
        """Wait until exactly these changes were told."""
        await until("changes", lambda: self.changes == list(changes), lambda: self.changes)

    def deafen(self) -> None:
        """Take neither frames nor events any more; the socket stays."""
        self._listening.close()

    def close(self) -> None:
        """Release everything; fail if that does not end."""
        self.deafen()
        closing = threading.Thread(target=self._context.destroy, daemon=True)
        closing.start()
        closing.join(timeout=5)
        assert not closing.is_alive(), "the context does not end"


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """A listener that soon takes a link for lost, and must be released within a deadline."""
    monkeypatch.setattr(links, "GIVEN_UP_AFTER_S", 0.15)
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def publisher() -> Iterator[zmq.SyncSocket]:
    """A stranger that can publish, and learns of subscriptions."""
    with raw_socket(zmq.XPUB) as raw:
        yield raw


def test_a_link_cut_for_a_huge_frame_is_made_again(
    listener: Listener, publisher: zmq.SyncSocket, caplog: pytest.LogCaptureFixture
) -> None:
    """10 MB cost the sender its connection and nobody memory; twice, and it is heard each time."""
    endpoint = bind_anywhere(publisher)

    async def main() -> None:
        listener.start(endpoint)
        for count in (1, 2):
            await listener.hears(publisher, b"m/%d" % count)
            publisher.send(HUGE)
            await listener.counts_broken(count)
            await listener.counts_repaired(count)
        await listener.hears(publisher, b"m/last")
        assert max(map(len, listener.taken)) < 10

    asyncio.run(main())
    assert [record.levelno for record in caplog.records] == [
        logging.WARNING
    ]  # not twice in a minute
    assert endpoint in caplog.text


def test_a_proper_publisher_in_the_place_of_a_hostile_one_is_heard(listener: Listener) -> None:
    """The hostile one is gone when the link is mended; whoever listens there then is heard."""

    async def main() -> None:
        with raw_socket(zmq.XPUB) as hostile:
            endpoint = bind_anywhere(hostile)
            listener.start(endpoint)
            await wait_for_subscription(hostile, TOPIC)
            hostile.send(HUGE)
            await listener.counts_broken()
        with raw_socket(zmq.XPUB) as proper:
            proper.bind(endpoint)
            await listener.hears(proper, b"m/proper")
        assert listener.counts.repaired_links == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    "greeting",
    [b"\xff" * 64, b"\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE" + bytes(47)],
    ids=["not ZMTP", "another mechanism"],
)
def test_a_peer_that_speaks_something_else_is_tried_again(
    listener: Listener, publisher: zmq.SyncSocket, greeting: bytes
) -> None:
    """After a greeting that libzmq gives up on, the right one is heard at that endpoint."""

    async def main() -> None:
        with listening() as (server, endpoint):
            listener.start(endpoint)
            near, _ = await asyncio.get_running_loop().sock_accept(server)
            with near:
                near.sendall(greeting)
                await listener.counts_broken()
        publisher.bind(endpoint)
        await listener.counts_repaired()
        await listener.hears(publisher, b"m/right")

    asyncio.run(main())


def test_a_socket_of_the_wrong_type_counts_as_broken(listener: Listener) -> None:
    """A SUB at the other end is no publisher; the link is tried again and again."""

    async def main() -> None:
        with raw_socket(zmq.SUB) as wrong:
            listener.start(bind_anywhere(wrong))
            await listener.counts_broken(2)
        assert listener.counts.repaired_links == 0

    asyncio.run(main())


def test_a_peer_that_restarts_is_no_broken_link(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    """An ordinary loss, told within a second, is mended by libzmq, topics included."""

    async def main() -> None:
        with raw_socket(zmq.XPUB) as first:
            endpoint = bind_anywhere(first)
            listener.start(endpoint)
            await listener.hears(first, b"m/first")
            await listener.changes_to(Link.UP)
            lost_at = time.monotonic()
        await listener.changes_to(Link.UP, Link.LOST, Link.REFUSED)
        assert time.monotonic() - lost_at < 1.0
        with raw_socket(zmq.XPUB) as second:
            second.bind(endpoint)
            await listener.hears(second, b"m/second")
            await listener.changes_to(Link.UP, Link.LOST, Link.REFUSED, Link.UP)
        assert (listener.counts.broken_links, listener.counts.repaired_links) == (0, 0)

    asyncio.run(main())
    assert not caplog.records


def test_a_link_by_name_is_mended_though_its_events_tell_an_address(listener: Listener) -> None:
    """After a restart libzmq tells of ``localhost`` as 127.0.0.1; the watch keeps up."""

    async def main() -> None:
        with raw_socket(zmq.XPUB) as first:
            endpoint = bind_anywhere(first)
            listener.start(endpoint.replace("127.0.0.1", "localhost"))
            await listener.hears(first, b"m/first")
        with raw_socket(zmq.XPUB) as second:
            second.bind(endpoint)
            await listener.hears(second, b"m/second")
            assert listener.counts.broken_links == 0
            second.send(HUGE)
            await listener.counts_broken()
            await listener.counts_repaired()
            await listener.hears(second, b"m/third")

    asyncio.run(main())


def test_a_peer_that_is_followed_no_more_is_left_in_peace(listener: Listener) -> None:
    """Its link is not mended, and a dead endpoint is not tried any more."""

    async def main() -> None:
        with raw_socket(zmq.XPUB) as hostile, raw_socket(zmq.XPUB) as dead:
            endpoints = bind_anywhere(hostile), bind_anywhere(dead)
            listener.start(*endpoints)
            await wait_for_subscription(hostile, TOPIC)
            await wait_for_subscription(dead, TOPIC)
            hostile.send(HUGE)
            await until(
                "the link to be cut", lambda: bool(listener.links._doubtful), lambda: listener.taken
            )
        listener.links.follow([])
        with listening(endpoints[0]) as (first, _), listening(endpoints[1]) as (second, _):
            await asyncio.sleep(0.7)  # longer than libzmq, or we, wait for another try
            for server in (first, second):
                with pytest.raises(BlockingIOError):
                    server.accept()
        assert listener.counts.broken_links == 0

    asyncio.run(main())


def test_an_endpoint_that_cannot_be_connected_harms_no_other(
    listener: Listener, publisher: zmq.SyncSocket, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake in somebody's registration is told once, and can be unfollowed."""

    async def main() -> None:
        endpoint = bind_anywhere(publisher)
        listener.start("nonsense", endpoint)
        listener.links.follow(["nonsense", endpoint])
        await listener.hears(publisher, b"m/1")
        listener.links.follow([endpoint])
        await listener.hears(publisher, b"m/2")

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "cannot connect to 'nonsense': Invalid argument"
    ]


def test_a_loss_after_the_watch_ended_stops_nothing(listener: Listener) -> None:
    """Nobody takes events any more; the thread that moves all frames must not wait for that."""

    async def main() -> None:
        with raw_socket(zmq.XPUB) as first:
            endpoint = bind_anywhere(first)
            listener.start(endpoint)
            await wait_for_subscription(first, TOPIC)
            listener.deafen()
        with raw_socket(zmq.XPUB) as second:
            second.bind(endpoint)

            def connected() -> bool:
                listener.socket.poll(0)  # only a socket in use subscribes again
                return bool(second.poll(0))

            await until("the socket to connect again", connected, lambda: endpoint)

    asyncio.run(main())


def test_a_link_that_was_never_up_is_not_told_of(listener: Listener) -> None:
    """Where nobody listens yet nothing is lost; the first that is told is that somebody does."""

    async def main() -> None:
        with raw_socket(zmq.XPUB) as absent:
            endpoint = bind_anywhere(absent)
        listener.start(endpoint)
        await asyncio.sleep(0.5)  # some tries
        with raw_socket(zmq.XPUB) as publisher:
            publisher.bind(endpoint)
            await listener.changes_to(Link.UP)

    asyncio.run(main())


def test_a_link_of_a_frozen_peer_is_lost_but_not_refused(listener: Listener) -> None:
    """Its kernel takes connections for it; only heartbeats, and then handshakes, fail."""

    async def main() -> None:
        with raw_socket(zmq.XPUB) as first:
            endpoint = bind_anywhere(first)
            listener.start(endpoint)
            await listener.changes_to(Link.UP)
        with listening(endpoint):
            await listener.changes_to(Link.UP, Link.LOST)
            await asyncio.sleep(1.0)  # some tries
            assert Link.REFUSED not in listener.changes

    asyncio.run(main())
