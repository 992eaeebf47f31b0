"""A node that starts: ready when it hears the others and they hear it, and not much later."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.clients import DESK, V1Client, answer, fetch, until
from tests.processes import ClusterProcesses, wait_until

pytestmark = pytest.mark.cluster

ROUNDS = 3
NO_ANSWER = "no answer from"  # what is logged when somebody was waited for in vain


def _http_of(cluster: ClusterProcesses, name: str, old: str = "") -> str:
    """Where a node listens that is not ready yet, as it wrote it into the table of nodes."""

    def written() -> str:
        with contextlib.closing(sqlite3.connect(cluster.database)) as database:
            (found,) = database.execute("SELECT http FROM node WHERE name = ?", (name,)).fetchone()
        return "" if found in ("", old) else f"http://{found}"

    return wait_until(written, f"{name} to register", state=lambda: cluster.log(name))


def _why_not_ready(url: str) -> str:
    """What a node that starts says of it."""
    with pytest.raises(urllib.error.HTTPError, match="503") as caught:
        urllib.request.urlopen(f"{url}/readyz", timeout=15)
    with caught.value as refusal:
        return str(json.loads(refusal.read())["msg"])


def _await_answers_but(url: str, silent: str) -> None:
    """Wait until only one node has not answered one that starts."""
    expected = f"node: it starts; no answer yet from {silent}"
    wait_until(
        lambda: _why_not_ready(url) == expected,
        "answers from all others",
        state=lambda: _why_not_ready(url),
    )


@pytest.mark.parametrize(("topology", "forwarders"), [("direct", 0), ("forwarder", 2)])
def test_what_a_node_that_is_ready_publishes_is_heard_by_all(
    tmp_path: Path, topology: str, forwarders: int
) -> None:
    """The first message of a conversation, of which nothing follows, both ways; again and again."""

    async def main(cluster: ClusterProcesses) -> None:
        desk = await V1Client(DESK).start(cluster.url_of["n1"])
        await desk.wait_for(0)
        for number in range(ROUNDS):
            user = f"u{number}"
            elsewhere = await V1Client(user).start(cluster.url_of["n2"])
            await elsewhere.wait_for(0)
            cluster.kill("n3")
            cluster.launch("n3")
            await asyncio.to_thread(cluster.await_ready, "n3")
            customer = await V1Client(user).start(cluster.url_of["n3"])
            await customer.say("hello")
            await elsewhere.wait_for(3)
            await desk.wait_for(3, 2 * number + 1)
            await desk.say("what can we do for you?", to=user)
            await customer.wait_for(3, 2)
            await customer.close()
            await elsewhere.close()
        await desk.close()
        assert NO_ANSWER not in cluster.log("n3")

    with ClusterProcesses(tmp_path, nodes=3, topology=topology, forwarders=forwarders) as cluster:
        asyncio.run(main(cluster))


def test_a_frozen_peer_is_waited_for_three_seconds(tmp_path: Path) -> None:
    """Meanwhile the node says that it lives and is not ready, and takes no WebSockets."""

    async def while_starting(url: str) -> None:
        assert (await answer(f"{url}/livez"))["data"] == "alive"
        await asyncio.to_thread(_await_answers_but, url, "n2")
        socket = await fetch(
            f"{url}/websocket/chat/u1",
            **{
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Version": "13",
            },
        )
        assert (socket.code, socket.body) == (503, b"this node is starting")
        found = await answer(f"{url}/chatMsg/getWebSocketAddress/u1")
        assert not found["data"].startswith(url.replace("http", "ws"))

    async def main(cluster: ClusterProcesses) -> None:
        n1 = cluster.url_of["n1"]
        await asyncio.to_thread(cluster.stop, "n3")
        cluster.send("n2", signal.SIGSTOP)
        cluster.launch("n3")
        url = await asyncio.to_thread(_http_of, cluster, "n3")
        began = time.monotonic()
        await while_starting(url)
        for _ in range(10):
            found = await answer(f"{n1}/chatMsg/getWebSocketAddress/u1")
            assert not found["data"].startswith(url.replace("http", "ws")), "n3 is not ready"
        await asyncio.to_thread(cluster.await_ready, "n3")
        assert 2 < time.monotonic() - began < 8
        assert f"{NO_ANSWER} n2; ready all the same" in cluster.log("n3")
        assert (await answer(f"{url}/readyz"))["data"]["checks"]["node"] == "ok"

    async def stopped_while_starting(cluster: ClusterProcesses) -> None:
        old = cluster.url_of["n3"].removeprefix("http://")
        cluster.kill("n3")
        cluster.launch("n3")
        url = await asyncio.to_thread(_http_of, cluster, "n3", old)
        await answer(f"{url}/livez")
        await asyncio.to_thread(cluster.stop, "n3")
        assert "ready" not in cluster.processes["n3"].output

    with ClusterProcesses(tmp_path, nodes=3) as cluster:
        asyncio.run(main(cluster))
        asyncio.run(stopped_while_starting(cluster))


@pytest.mark.parametrize(("topology", "forwarders"), [("direct", 0), ("forwarder", 1)])
def test_a_node_that_is_not_listed_joins_and_leaves_nothing_behind(
    tmp_path: Path, topology: str, forwarders: int
) -> None:
    """It is one of them while it lives: presence, messages, origins, addresses; then it is not."""

    async def named(asked: str, url: str) -> bool:
        found = await answer(f"{asked}/chatMsg/getWebSocketAddress/u1")
        return str(found["data"]).startswith(url.replace("http", "ws"))

    async def talk(desk: V1Client, customer: V1Client) -> None:
        await customer.say("hello")
        await desk.wait_for(3, 1)
        await desk.say("what can we do for you?", to=customer.user)
        await customer.wait_for(3, 2)

    async def join_and_leave(cluster: ClusterProcesses) -> None:
        cluster.launch("n9")
        await asyncio.to_thread(cluster.await_ready, "n9")
        n1, n9 = cluster.url_of["n1"], cluster.url_of["n9"]
        assert (await fetch(f"{n1}/api/online", Origin=n9)).code == 200
        assert any([await named(n1, n9) for _ in range(40)]), "one of three, picked at random"
        desk = await V1Client(DESK).start(n1)
        customer = await V1Client("u1").start(n9)
        await until(
            "u1 online", lambda: any("u1" in e["opened"] for e in desk.of(1)), lambda: desk.events
        )
        await talk(desk, customer)
        await customer.close()
        await asyncio.to_thread(cluster.stop, "n9")
        await asyncio.to_thread(cluster.await_whole)
        assert (await fetch(f"{n1}/api/online", Origin=n9)).code == 403
        assert not any([await named(n1, n9) for _ in range(20)])
        await desk.close()

    with ClusterProcesses(tmp_path, nodes=2, topology=topology, forwarders=forwarders) as cluster:
        asyncio.run(join_and_leave(cluster))
        cluster.stop("n2")
        cluster.start("n2", "n9")
        for name in ("n2", "n9"):
            assert NO_ANSWER not in cluster.log(name)


def test_who_left_is_not_waited_for_and_who_died_not_for_long(tmp_path: Path) -> None:
    """A node that starts alone: at once after goodbyes, after three seconds without."""
    with ClusterProcesses(tmp_path, nodes=3) as cluster:
        cluster.stop(*cluster.nodes)
        cluster.start("n1")
        assert NO_ANSWER not in cluster.log("n1")
        cluster.start("n2", "n3")
        cluster.kill(*cluster.nodes)
        cluster.start("n1")
        assert f"{NO_ANSWER} n2, n3; ready all the same" in cluster.log("n1")
