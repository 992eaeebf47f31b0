"""Keys of the mesh on real nodes and forwarders: replaced under load, and asked of strangers."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from pathlib import Path

import pytest
import zmq

from scripts.killing.scenario import SETTINGS
from scripts.restarting.rolling import Crowd
from tests.clients import DESK, V1Client, answer, fetch, until
from tests.processes import ClusterProcesses
from zmqchat.config import new_key

pytestmark = pytest.mark.cluster

CUSTOMERS = 20
READER = "reader"  # who is written to
ACK, MESSAGE = 5, 3
ACK_WITHIN_S = 1.0
BACK_WITHIN_S = 5.0
LISTENS_S = 0.5

log = logging.getLogger(__name__)


class Talker:
    """A desk that never stops writing, and sends again what was not acknowledged."""

    def __init__(self, cluster: ClusterProcesses) -> None:
        self.acknowledged: list[str] = []
        self._cluster = cluster
        self._turn = itertools.count()
        self._client: V1Client | None = None
        self._talking = True

    async def talk(self) -> None:
        """Write one message after the other until `stop`."""
        while self._talking:
            text = f"message {len(self.acknowledged)}"
            while not await self._say(text):
                await self._hang_up()
            self.acknowledged.append(text)
            await asyncio.sleep(0.02)
        await self._hang_up()

    def stop(self) -> None:
        """Finish the message that is under way, and no more."""
        self._talking = False

    async def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _say(self, text: str) -> bool:
        """Send a message once; tell whether it was acknowledged in time."""
        try:
            if self._client is None:
                urls = self._cluster.urls
                url = urls[next(self._turn) % len(urls)]
                self._client = await V1Client(DESK).start(url)
            client = self._client
            await client.say(text, to=READER, client_id=text)
            end = time.monotonic() + ACK_WITHIN_S
            while not any(event["data"]["clientId"] == text for event in client.of(ACK)):
                if time.monotonic() > end or client.close_code is not None:
                    return False
                await asyncio.sleep(0.005)
        except Exception as error:  # noqa: BLE001 - however a node is gone, the next one is asked
            log.info("%s is to be sent again: %r", text, error)
            return False
        return True


@pytest.mark.parametrize(("topology", "forwarders"), [("direct", 0), ("forwarder", 2)])
def test_a_key_is_replaced_under_load(tmp_path: Path, topology: str, forwarders: int) -> None:
    """In each step all restart in turn: nothing acknowledged is lost, nobody is told offline."""
    old, new = new_key(), new_key()
    keys = tmp_path / "mesh.keys"
    keys.write_text(f"{old}\n")

    async def main(cluster: ClusterProcesses) -> None:
        crowd = Crowd(cluster, CUSTOMERS)
        await crowd.start()
        talker = Talker(cluster)
        talking = asyncio.create_task(talker.talk())
        for step in ([old, new], [new, old], [new]):
            keys.write_text("\n".join(step))
            for name in cluster.forwarders:
                await asyncio.to_thread(cluster.stop, name)
                cluster.launch(name)
                await asyncio.to_thread(cluster.await_ready, name)
            rolled = await crowd.roll()
            assert rolled.mistakes == []
            assert max(rolled.outages_s) < BACK_WITHIN_S
        talker.stop()
        await talking
        history = await answer(
            f"{cluster.urls[0]}/chatMsg/getHistoryChat/{READER}?limit=500&after=0"
        )
        assert [message["msg"] for message in history["data"]] == talker.acknowledged[:500]
        assert len(talker.acknowledged) > 100
        await crowd.stop()

    with ClusterProcesses(
        tmp_path,
        nodes=2,
        topology=topology,
        forwarders=forwarders,
        keys_file=keys,
        **SETTINGS,
    ) as cluster:
        asyncio.run(main(cluster))


@pytest.mark.parametrize(("topology", "forwarders"), [("direct", 0), ("forwarder", 1)])
@pytest.mark.parametrize("has_key", [False, True], ids=["without", "wrong"])
def test_a_stranger_hears_nothing_and_is_not_heard(
    tmp_path: Path, topology: str, forwarders: int, has_key: bool
) -> None:
    """On every port of the mesh, with no key or with another, while customers and desk talk."""
    keys = tmp_path / "mesh.keys"
    keys.write_text(new_key())

    async def main(cluster: ClusterProcesses) -> None:
        context = zmq.Context()
        try:
            ears = [_stranger(context, zmq.SUB, end, has_key) for end in _publishing(cluster)]
            mouths = [_stranger(context, zmq.PUB, end, has_key) for end in _subscribing(cluster)]
            desk = await V1Client(DESK).start(cluster.urls[1])
            customer = await V1Client("u1").start(cluster.urls[0])
            end = time.monotonic() + LISTENS_S
            sent = 0
            while time.monotonic() < end:
                await customer.say(f"{sent}", client_id=f"{sent}")
                sent += 1
                for mouth in mouths:
                    mouth.send(b"m/nonsense that a node would count", zmq.DONTWAIT)
                await asyncio.sleep(0.02)
            await until(
                "the desk has all", lambda: len(desk.of(MESSAGE)) == sent, lambda: desk.events[-1]
            )
            assert ears
            assert [ear.poll(0) for ear in ears] == [0] * len(ears), "a stranger was given a frame"
            for url in cluster.urls:
                assert await _dropped(url) == 0, "a stranger's frame came in"
            await asyncio.gather(desk.close(), customer.close())
        finally:
            context.destroy(linger=0)

    with ClusterProcesses(
        tmp_path, nodes=2, topology=topology, forwarders=forwarders, keys_file=keys
    ) as cluster:
        asyncio.run(main(cluster))


def _publishing(cluster: ClusterProcesses) -> list[str]:
    """Where a SUB would connect to."""
    if cluster.forwarders:
        return [cluster.endpoints(name)[1] for name in cluster.forwarders]
    return [
        cluster.processes[name].expect(rf"{name} ready: \S+ mesh (tcp://\S+)")[1]
        for name in cluster.nodes
    ]


def _subscribing(cluster: ClusterProcesses) -> list[str]:
    """Where a PUB would connect to."""
    return [cluster.endpoints(name)[0] for name in cluster.forwarders]


def _stranger(context: zmq.SyncContext, kind: int, endpoint: str, has_key: bool) -> zmq.SyncSocket:
    socket: zmq.SyncSocket = context.socket(kind)
    if has_key:
        public, secret = zmq.curve_keypair()
        socket.curve_publickey, socket.curve_secretkey = public, secret
        socket.curve_serverkey = public
    if kind == zmq.SUB:
        socket.setsockopt(zmq.SUBSCRIBE, b"")
    socket.connect(endpoint)
    return socket


async def _dropped(url: str) -> float:
    """How many frames a node could not read."""
    text = (await fetch(f"{url}/metrics")).body.decode()
    lines = [line for line in text.splitlines() if line.startswith("zmqchat_mesh_dropped_total{")]
    assert lines, text
    return sum(float(line.rpartition(" ")[2]) for line in lines)
