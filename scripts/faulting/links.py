"""A network that can be broken: every link between two processes leads through a port of ours.

A link can be cut (connections end, and nobody listens) or held, in one direction or in both:
connections are accepted and stay, and what is sent is not passed on until the link is healed.
One that leads to a ZeroMQ socket can also lose single frames on their way to who connected.

The ports live in a thread with an event loop of its own, so that links work while the main thread
waits for processes to start. All methods may be called from any thread, and return when what they
ask for is done. Ports are below 32768, as ZeroMQ wants them: a socket that connects again and
again to a higher port that is closed may be connected to itself.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import enum
import random
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from scripts.faulting.frames import Frames

T = TypeVar("T")

HOST = "127.0.0.1"
PORTS = range(20_000, 32_768)
ATTEMPTS = 100
ANSWER_S = 15.0
TOPIC_BYTES = 2  # of a frame's topic that are told apart
TAKEN_PAUSE_S = 0.05  # before a port of a healed link is tried again, if somebody else has it


class Way(enum.Flag):
    """A direction of a link, seen from the one who connects."""

    OUT = enum.auto()
    IN = enum.auto()
    BOTH = OUT | IN


class Network:
    """All links, and the thread that serves them; to be used in a ``with`` block."""

    def __init__(self) -> None:
        self._links: list[Link] = []

    def link(self, target: str, *, host: str = HOST, zeromq: bool = False) -> Link:
        """Make a link to ``host:port``; whoever connects uses the link's own address."""
        link = Link(self, target, host, zeromq=zeromq)
        self.wait(link.listen_anywhere())
        self._links.append(link)
        return link

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the links' thread, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_S)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for link in self._links:
            self.wait(link.shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Link:
    """One address of ours, on ``host``, that leads to a target."""

    def __init__(self, network: Network, target: str, host: str, *, zeromq: bool) -> None:
        self.host = host
        self.port = 0
        self.zeromq = zeromq
        self.lost = 0  # frames that were told to be lost, and were
        self.carried: collections.Counter[bytes] = collections.Counter()  # others, by topic
        self._network = network
        self._to_lose: list[bytes] = []  # what frames begin with that are to be lost
        to_host, _, to_port = target.rpartition(":")
        self._target = (to_host, int(to_port))
        self._server: asyncio.Server | None = None
        self._pipes: set[_Pipe] = set()
        self._held = Way(0)

    @property
    def address(self) -> str:
        """Where to connect: ``host:port``."""
        return f"{self.host}:{self.port}"

    def cut(self) -> None:
        """End all connections and refuse new ones."""
        self._network.wait(self.shut())

    def hold(self, way: Way = Way.BOTH) -> None:
        """Pass nothing on in a direction; what is sent meanwhile waits."""
        self._network.wait(self._set_held(way))

    def lose(self, beginning: bytes) -> None:
        """Lose the next frame of a ZeroMQ link that begins so."""
        self._to_lose.append(beginning)

    def heal(self) -> None:
        """Listen again if it was cut, and pass on what waits."""
        self._network.wait(self._heal())

    async def listen_anywhere(self) -> None:
        """Listen on a free port."""
        for port in random.sample(PORTS, ATTEMPTS):
            self.port = port
            with contextlib.suppress(OSError):
                await self._listen()
                return
        raise OSError(f"no free port among {ATTEMPTS} of {PORTS}")

    async def shut(self) -> None:
        """Close everything; in the links' thread."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for pipe in list(self._pipes):
            pipe.abort()
        await asyncio.sleep(0)  # for what was aborted to be told so

    def forget(self, pipe: _Pipe) -> None:
        """Drop a connection that has ended."""
        self._pipes.discard(pipe)

    def loses(self, frame: bytes) -> bool:
        """Whether a frame is lost; in the links' thread."""
        for beginning in self._to_lose:
            if frame.startswith(beginning):
                self._to_lose.remove(beginning)
                self.lost += 1
                return True
        self.carried[frame[:TOPIC_BYTES]] += 1
        return False

    async def _listen(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            self._accept, self.host, self.port, reuse_address=True
        )

    def _accept(self) -> _End:
        pipe = _Pipe(self, self._held)
        self._pipes.add(pipe)
        pipe.connect(self._target)
        return pipe.near

    async def _set_held(self, way: Way) -> None:
        self._held = way
        for pipe in self._pipes:
            pipe.hold(way)

    async def _heal(self) -> None:
        await self._set_held(Way(0))
        async with asyncio.timeout(ANSWER_S / 2):
            while self._server is None:
                with contextlib.suppress(OSError):
                    await self._listen()
                    return
                await asyncio.sleep(TAKEN_PAUSE_S)


class _Pipe:
    """One connection through a link: a near end that came to us, a far end at the target."""

    def __init__(self, link: Link, held: Way) -> None:
        self.near = _End(self)
        self.far = _End(self, Frames(link.loses) if link.zeromq else None)
        self._link = link
        self._closed: set[_End] = set()
        self._connecting: asyncio.Task[None] | None = None
        self.hold(held)

    def connect(self, target: tuple[str, int]) -> None:
        """Connect the far end; until then the near end is not read."""
        self.near.stop_for(_End.CONNECTING)
        self._connecting = asyncio.get_running_loop().create_task(self._connect(target))

    async def _connect(self, target: tuple[str, int]) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.far, *target)
        except OSError:
            self.abort()
        else:
            self.near.go_on_after(_End.CONNECTING)

    def hold(self, way: Way) -> None:
        """Stop reading the end from which a direction begins."""
        for end, begins in ((self.near, Way.OUT), (self.far, Way.IN)):
            if begins in way:
                end.stop_for(_End.HELD)
            else:
                end.go_on_after(_End.HELD)

    def other(self, end: _End) -> _End:
        """The end that an end's bytes go to."""
        return self.far if end is self.near else self.near

    def ended(self, end: _End) -> None:
        """Note that an end is closed; close the other one after what it still has to write."""
        other = self.other(end)
        self._closed.add(end)
        if other in self._closed:
            self._link.forget(self)
            return
        if other.transport is None:
            self.abort()
            self._link.forget(self)
        else:
            other.transport.close()

    def abort(self) -> None:
        """End the connection at once; what is under way is lost."""
        if self._connecting is not None:
            self._connecting.cancel()
        for end in (self.near, self.far):
            if end.transport is None:
                self._closed.add(end)
            else:
                end.transport.abort()


class _End(asyncio.Protocol):
    """One end of a pipe: passes on what it reads, unless there are reasons not to read."""

    CONNECTING, HELD, FULL = "connecting", "held", "full"

    def __init__(self, pipe: _Pipe, frames: Frames | None = None) -> None:
        self.transport: asyncio.Transport | None = None
        self._frames = frames
        self._pipe = pipe
        self._stopped_for: set[str] = set()

    def stop_for(self, reason: str) -> None:
        """Do not read, for a reason."""
        self._stopped_for.add(reason)
        if self.transport is not None:
            self.transport.pause_reading()

    def go_on_after(self, reason: str) -> None:
        """Read again if this was the last reason not to."""
        self._stopped_for.discard(reason)
        if self.transport is not None and not self._stopped_for:
            self.transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self._stopped_for:
            self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        other = self._pipe.other(self).transport
        if other is not None:
            other.write(data if self._frames is None else self._frames.passed(data))

    def pause_writing(self) -> None:
        self._pipe.other(self).stop_for(self.FULL)

    def resume_writing(self) -> None:
        self._pipe.other(self).go_on_after(self.FULL)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._pipe.ended(self)
