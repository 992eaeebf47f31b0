"""The links of the fault runs: what they pass, and how they break."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from scripts.faulting.links import Link, Network, Way
from tests.processes import wait_until

PATIENCE_S = 10.0
SILENCE_S = 0.1  # what is held does not come for as long, and longer


@contextmanager
def linked() -> Iterator[tuple[Link, socket.socket]]:
    """A link to a server that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server, Network() as network:
        server.settimeout(PATIENCE_S)
        yield network.link(f"127.0.0.1:{server.getsockname()[1]}"), server


def connect(link: Link) -> socket.socket:
    """Connect through a link."""
    client = socket.create_connection(("127.0.0.1", link.port), PATIENCE_S)
    client.settimeout(PATIENCE_S)
    return client


@contextmanager
def connected(link: Link, server: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection through a link."""
    with connect(link) as client:
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(PATIENCE_S)
            yield client, accepted


def silent(end: socket.socket) -> bool:
    """Whether nothing comes for a while."""
    end.settimeout(SILENCE_S)
    try:
        end.recv(1)
    except TimeoutError:
        return True
    finally:
        end.settimeout(PATIENCE_S)
    return False


def ended(end: socket.socket) -> bool:
    """Whether the other side has closed, in whatever way."""
    try:
        return end.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_link_passes_everything_both_ways_and_the_end() -> None:
    """More than fits into any buffer, and the close of either end."""
    much = bytes(range(256)) * 32_768
    with (
        linked() as (link, server),
        connected(link, server) as (client, accepted),
        ThreadPoolExecutor() as pool,
    ):
        for sender, receiver in ((client, accepted), (accepted, client)):
            sending = pool.submit(sender.sendall, much)
            with receiver.makefile("rb") as received:
                assert received.read(len(much)) == much
            sending.result()
        accepted.close()
        assert ended(client)


def test_a_cut_link_ends_connections_and_refuses_new_ones() -> None:
    """Until it is healed; then the same address works again."""
    with linked() as (link, server):
        with connected(link, server) as (client, accepted):
            link.cut()
            assert ended(client)
            assert ended(accepted)
        with pytest.raises(ConnectionRefusedError):
            connect(link)
        link.heal()
        with connected(link, server) as (client, accepted):
            client.sendall(b"again")
            assert accepted.recv(5, socket.MSG_WAITALL) == b"again"


@pytest.mark.parametrize("way", [Way.OUT, Way.IN, Way.BOTH])
def test_a_held_link_passes_nothing_that_way_until_it_is_healed(way: Way) -> None:
    """What was sent meanwhile is not lost; the other direction goes on."""
    with linked() as (link, server), connected(link, server) as (client, accepted):
        link.hold(way)
        client.sendall(b"out")
        accepted.sendall(b"in")
        assert silent(accepted) is (Way.OUT in way)
        assert silent(client) is (Way.IN in way)
        link.heal()
        if Way.OUT in way:
            assert accepted.recv(3, socket.MSG_WAITALL) == b"out"
        if Way.IN in way:
            assert client.recv(2, socket.MSG_WAITALL) == b"in"


def test_a_held_link_accepts_connections() -> None:
    """As the kernel of a frozen machine does, and says nothing."""
    with linked() as (link, server):
        link.hold()
        with connected(link, server) as (client, accepted):
            accepted.sendall(b"hello")
            assert silent(client)
            link.heal()
            assert client.recv(5, socket.MSG_WAITALL) == b"hello"


def test_a_target_that_refuses_is_passed_on_as_an_end() -> None:
    """Nobody behind the link: whoever connects is cut off, and nothing is left."""
    with linked() as (link, server):
        server.close()
        with connect(link) as client:
            assert ended(client)
        wait_until(lambda: not link._pipes, "no pipe is left", state=lambda: link._pipes)
