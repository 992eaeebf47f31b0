"""Reading a socket whose descriptor tells of changes and not of states."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import uvloop
import zmq

from tests.clients import until
from zmqchat.mesh.bus import DRAIN_LIMIT
from zmqchat.mesh.drain import Drain

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Pipe(NamedTuple):
    """Two connected sockets, and what the drain of the second has taken."""

    near: zmq.SyncSocket
    far: zmq.SyncSocket
    drain: Drain[bytes]
    taken: list[bytes]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Two sockets in one process, the second not read so far."""
    taken: list[bytes] = []
    with zmq.Context() as context:
        near, far = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        for socket in (near, far):
            socket.setsockopt(zmq.SNDHWM, 0)
            socket.setsockopt(zmq.RCVHWM, 0)
        near.bind("inproc://pipe")
        far.connect("inproc://pipe")
        drain = Drain(far, functools.partial(far.recv, zmq.DONTWAIT), taken.append)
        yield Pipe(near, far, drain, taken)
        drain.stop()
        context.destroy(linger=0)


async def _rounds(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)
def test_frames_are_taken_as_they_come(
    pipe: Pipe, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Frames from before the start, and after it one at a time, on both kinds of loop."""

    async def main() -> None:
        pipe.near.send(b"early")
        pipe.drain.start()
        for count in range(1, 20):
            await until("a frame", lambda: len(pipe.taken) == count, lambda: pipe.taken)  # noqa: B023
            pipe.near.send(b"%d" % count)
        await until("the last", lambda: len(pipe.taken) == 20, lambda: pipe.taken)
        pipe.drain.stop()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


@pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)
def test_frames_whose_signal_another_call_took_are_not_stranded(
    pipe: Pipe, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Asking the socket for its state silences the descriptor; `schedule` brings the frames."""

    async def main() -> None:
        pipe.drain.start()
        await _rounds()
        for number in range(10):
            pipe.near.send(b"%d" % number)
        assert int(pipe.far.getsockopt(zmq.EVENTS)) & zmq.POLLIN
        await _rounds()
        assert pipe.taken == [], "the descriptor told of them: this trap is none any more"
        pipe.drain.schedule()
        await _rounds()
        assert len(pipe.taken) == 10
        pipe.drain.stop()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


def test_one_reading_takes_no_more_than_the_limit(pipe: Pipe) -> None:
    """Of 1,000 waiting frames a round takes `DRAIN_LIMIT`; all come without another signal."""

    async def main() -> None:
        for number in range(1000):
            pipe.near.send(b"%d" % number)
        pipe.drain.start()
        counts = [0]
        while counts[-1] < 1000:
            await asyncio.sleep(0)
            counts.append(len(pipe.taken))
        steps = [after - before for before, after in itertools.pairwise(counts)]
        assert max(steps) == DRAIN_LIMIT
        pipe.drain.stop()

    asyncio.run(main())


def test_an_error_of_the_taker_strands_no_other_frame(pipe: Pipe) -> None:
    """The loop hears of the error, and the frames behind the bad one are taken."""
    taken: list[bytes] = []

    def take(frame: bytes) -> None:
        if frame == b"3":
            raise LookupError("three")
        taken.append(frame)

    async def main() -> None:
        errors: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        drain = Drain(pipe.far, functools.partial(pipe.far.recv, zmq.DONTWAIT), take)
        drain.start()
        for number in range(10):
            pipe.near.send(b"%d" % number)
        await until("all but one", lambda: len(taken) == 9, lambda: taken)
        assert [str(error["exception"]) for error in errors] == ["three"]
        drain.stop()

    asyncio.run(main())


def test_nothing_is_taken_after_the_stop(pipe: Pipe) -> None:
    """A reading that was scheduled before the stop does nothing."""

    async def main() -> None:
        pipe.drain.start()
        pipe.near.send(b"late")
        pipe.drain.stop()
        pipe.drain.schedule()
        await _rounds()
        assert pipe.taken == []

    asyncio.run(main())
