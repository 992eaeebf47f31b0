"""Forwarders: what passes, what does not, and how they start and stop."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import zmq

from tests.clients import until
from tests.contract.buses import ANY_PORT, KEYS, Mesh, Stranger, chat, running_forwarder
from tests.mesh.strangers import HUGE, bind_anywhere, raw_socket, watching_losses
from tests.processes import wait_until
from zmqchat.errors import StartError
from zmqchat.mesh.forwarder import Forwarder
from zmqchat.mesh.zeromq import ForwardedBus

_PROGRAM = """
import signal
from zmqchat.mesh.forwarder import Forwarder
forwarder = Forwarder("tcp://127.0.0.1:0", "tcp://127.0.0.1:0")
forwarder.bind()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: forwarder.stop())
print("ready", flush=True)
forwarder.run()
print("stopped", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_forwarder_process(number: signal.Signals) -> None:
    """A handler that calls `stop` ends `run` at once, and the process with it."""
    with subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        process.send_signal(number)  # twice does no harm
        assert process.stdout.read() == b"stopped\n"
        assert process.wait(timeout=5) == 0


def test_a_signal_ends_a_forwarder_that_was_stopped() -> None:
    """A signal that comes while the process is frozen ends it as soon as it goes on."""
    for _ in range(8):  # which thread takes the signal is up to the kernel
        with subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            _await_threads(process.pid, "SSSS")  # main, copying, and libzmq's two
            process.send_signal(signal.SIGSTOP)
            _await_threads(process.pid, "TTTT")
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            try:
                assert process.wait(timeout=5) == 0
            finally:
                process.kill()


def _await_threads(pid: int, states: str) -> None:
    """Wait until the threads of a process are in these states."""

    def seen() -> str:
        stats = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat"))
        return "".join(stat.rpartition(") ")[2][0] for stat in stats)

    wait_until(lambda: seen() == states, f"threads in the states {states}", state=seen)


def test_a_stop_before_the_run_ends_it_as_it_begins() -> None:
    """A signal that comes early is not lost."""
    forwarder = Forwarder(ANY_PORT, ANY_PORT)
    forwarder.bind()
    forwarder.stop()
    thread = threading.Thread(target=forwarder.run)
    thread.start()
    thread.join(timeout=5)
    assert not thread.is_alive()


@pytest.mark.parametrize("taken", ["xsub", "xpub"])
def test_a_taken_endpoint_is_a_start_error_and_leaves_nothing_open(taken: str) -> None:
    """The text names the endpoint, and the other endpoint is free again."""
    with raw_socket(zmq.PUB) as other:
        endpoints = {"xsub": ANY_PORT, "xpub": ANY_PORT, taken: bind_anywhere(other)}
        refused = Forwarder(endpoints["xsub"], endpoints["xpub"], KEYS)
        with pytest.raises(
            StartError, match=f"cannot listen on {endpoints[taken]}: the port is in use"
        ):
            refused.bind()
    with running_forwarder(refused.xsub, refused.xpub) as forwarder:
        assert (forwarder.xsub, forwarder.xpub) != (ANY_PORT, ANY_PORT)


def test_nodes_come_back_to_a_forwarder_that_restarts() -> None:
    """The same ports, another process: nodes publish and subscribe again by themselves."""

    async def main() -> None:
        with running_forwarder() as forwarder:
            endpoints = forwarder.xsub, forwarder.xpub
            mesh = Mesh(lambda codec: ForwardedBus(codec, [endpoints]), _no_strangers)
            a, b = mesh.join(1).start(), mesh.join(2).start()
            await mesh.meet(a, b)
            assert a.sink.forwarders == [True]
        await until(
            "the loss to be told",
            lambda: a.sink.forwarders == [True, False],
            lambda: a.sink.forwarders,
        )
        with running_forwarder(*endpoints):
            await mesh.meet(a, b)
            assert a.sink.forwarders == [True, False, True]
            a.bus.publish_chat(chat(1))
            await b.gets_chat(a, 1)
            assert (a.bus.counts.broken_links, b.bus.counts.broken_links) == (0, 0)
            mesh.close()

    asyncio.run(main())


def test_one_forwarder_of_two_is_enough() -> None:
    """Nothing is told as long as a whole way to and from one of them is left."""

    async def main() -> None:
        with running_forwarder() as first:
            with running_forwarder() as second:
                both = [(one.xsub, one.xpub) for one in (first, second)]
                mesh = Mesh(lambda codec: ForwardedBus(codec, both), _no_strangers, copies=2)
                a, b = mesh.join(1).start(), mesh.join(2).start()
                await mesh.meet(a, b)
            await asyncio.sleep(0.2)  # a loss is told within milliseconds
            assert a.sink.forwarders == [True]
        await until(
            "the loss to be told",
            lambda: a.sink.forwarders == [True, False],
            lambda: a.sink.forwarders,
        )
        mesh.close()

    asyncio.run(main())


def _no_strangers() -> Stranger:
    raise AssertionError("nobody asked for one")


def test_a_huge_frame_costs_its_sender_the_connection() -> None:
    """10 MB to the XSUB, and 10 MB to the XPUB: cut off, while nodes talk on."""

    async def main() -> None:
        with running_forwarder() as forwarder:
            endpoints = forwarder.xsub, forwarder.xpub
            mesh = Mesh(lambda codec: ForwardedBus(codec, [endpoints]), _no_strangers)
            a, b = mesh.join(1).start(), mesh.join(2).start()
            await mesh.meet(a, b)
            with raw_socket(zmq.PUB) as publisher, raw_socket(zmq.XSUB) as subscriber:
                await _lose_by_size(publisher, forwarder.xsub)
                await _lose_by_size(subscriber, forwarder.xpub)
            a.bus.publish_chat(chat(1))
            await b.gets_chat(a, 1)
            assert b.bus.counts.broken_links == 0
            assert not b.bus.counts.dropped
            mesh.close()

    asyncio.run(main())


async def _lose_by_size(stranger: zmq.SyncSocket, endpoint: str) -> None:
    stranger.connect(endpoint)
    with watching_losses(stranger) as lost:

        def cut() -> bool:
            stranger.send(HUGE)
            return lost()

        await until("the cut", cut, lambda: endpoint)


def test_only_the_first_part_of_a_message_can_be_a_subscription() -> None:
    """A later part that looks like one passes upstream as bytes, and subscribes nobody."""

    async def main() -> None:
        with (
            running_forwarder() as forwarder,
            raw_socket(zmq.XPUB) as publisher,
            raw_socket(zmq.XSUB) as subscriber,
        ):
            publisher.connect(forwarder.xsub)
            subscriber.connect(forwarder.xpub)
            subscriber.send_multipart([b"m/", b"\x01evil/"])
            subscriber.send(b"\x01good/")
            heard: list[bytes] = []
            async with asyncio.timeout(5):
                while b"\x01good/" not in heard:
                    while publisher.poll(0):
                        heard.append(publisher.recv())
                    await asyncio.sleep(0.01)
            publisher.send(b"evil/ 1")
            publisher.send(b"good/ 1")
            assert subscriber.poll(5000)
            assert subscriber.recv() == b"good/ 1"

    asyncio.run(main())
