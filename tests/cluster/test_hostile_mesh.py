"""Strangers on the mesh: what they send is counted and dropped, and the chat goes on."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import secrets
import sqlite3
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from tests.clients import DESK, V1Client
from tests.processes import ClusterProcesses, wait_until
from zmqchat.mesh.sockets import bind
from zmqchat.wire.mesh import (
    DROP_REASONS,
    MAX_FRAME_BYTES,
    Audience,
    Beat,
    Chat,
    ChatKind,
    Codec,
    State,
)

pytestmark = pytest.mark.cluster

CHAT = Chat(ChatKind.MESSAGE, Audience.ALL, "u1", 1, b'{"key":3,"data":{}}')
FLAGS = 2 + 2  # where the flags stand, after topic, version and type


def _hostile_frames() -> dict[str, bytes]:
    """One frame for each reason to drop it."""
    stranger = Codec("test", 900, 1)
    good = stranger.encode_chat(CHAT)
    lying = bytearray(good)
    lying[2 + 26 + 10 : 2 + 26 + 12] = b"\xff\xff"  # the conversation's length
    bomb = bytearray(stranger.encode_chat(CHAT))
    bomb[FLAGS] = 1
    bomb = bomb[: 2 + 26 + 12 + 2] + zlib.compress(b"x" * (MAX_FRAME_BYTES * 20))
    beat = stranger.encode_control(Beat(500, 1, 0, 0, State.UP, 0))
    return {
        "version": b"m/" + secrets.token_bytes(200).replace(b"\x01", b"\x02"),
        "cluster": Codec("another", 900, 1).encode_chat(CHAT),
        "truncated": bytes(lying),
        "too_large": bytes(bomb),
        "malformed": beat[:-3],
        "type": beat[:3] + b"\x63" + beat[4:],
    }


def _metric(url: str, name: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    match = re.search(rf"^{re.escape(name)} ([0-9.]+)$", text, re.MULTILINE)
    assert match is not None, text
    return float(match[1])


@contextlib.contextmanager
def _stranger(kind: zmq.SocketType) -> Iterator[zmq.SyncSocket]:
    """Open a plain socket that keeps no rules."""
    with zmq.Context() as context:
        socket = context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        try:
            yield socket
        finally:
            socket.close()


async def _still_talk(first: str, second: str) -> None:
    customer = await V1Client("u1").start(first)
    desk = await V1Client(DESK).start(second)
    await customer.say("hello")
    await desk.wait_for(3)
    await desk.say("hi", to="u1")
    await customer.wait_for(3, 2)
    await customer.close()
    await desk.close()


def test_hostile_frames_through_a_forwarder_are_counted_and_dropped(tmp_path: Path) -> None:
    """Each kind shows under its reason on every node, one of 10 MB does not even pass."""
    frames = _hostile_frames()
    with (
        ClusterProcesses(tmp_path, nodes=2, topology="forwarder", forwarders=1) as cluster,
        _stranger(zmq.PUB) as socket,
    ):
        xsub = cluster.endpoints("f1")[0]
        socket.connect(xsub)

        def dropped(reason: str) -> list[float]:
            name = f'zmqchat_mesh_dropped_total{{reason="{reason}"}}'
            return [_metric(url, name) for url in cluster.urls]

        def sent_and_counted(reason: str, frame: bytes) -> bool:
            socket.send(frame)
            return all(dropped(reason))

        for reason, frame in frames.items():
            before = dropped(reason)
            wait_until(
                functools.partial(sent_and_counted, reason, frame),
                f"{reason} to be counted",
                state=lambda: {reason: dropped(reason) for reason in DROP_REASONS},
            )
            assert dropped(reason) > before
        received = [_metric(url, "zmqchat_mesh_received_total") for url in cluster.urls]
        socket.send(b"m/" + bytes(10_000_000))
        asyncio.run(_still_talk(*cluster.urls))
        assert dropped("too_large")[0] > 0
        for url, earlier in zip(cluster.urls, received, strict=True):
            assert _metric(url, "zmqchat_mesh_received_total") > earlier


def test_a_frame_of_ten_megabytes_breaks_only_its_own_link(tmp_path: Path) -> None:
    """A node that hears a hostile publisher cuts it off, counts it, and connects again."""
    with ClusterProcesses(tmp_path, nodes=2) as cluster, _stranger(zmq.PUB) as socket:
        endpoint = bind(socket, "tcp://127.0.0.1:0")
        connection = sqlite3.connect(cluster.database)
        with connection:
            connection.execute(
                "INSERT INTO node(number, name, incarnation, http, url, mesh)"
                " VALUES (900, 'evil', 1, '127.0.0.1:1', 'http://127.0.0.1:1', ?)",
                (endpoint,),
            )
        connection.close()

        def broken() -> bool:
            socket.send(b"m/" + bytes(10_000_000))
            return all(_metric(url, "zmqchat_mesh_broken_links_total") for url in cluster.urls)

        def repaired() -> bool:
            return all(_metric(url, "zmqchat_mesh_repaired_links_total") for url in cluster.urls)

        wait_until(broken, "a broken link on both nodes", state=lambda: cluster.log("n1"))
        wait_until(repaired, "a repaired link on both nodes", state=lambda: cluster.log("n1"))
        asyncio.run(_still_talk(*cluster.urls))
