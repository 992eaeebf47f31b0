"""The bus over ZeroMQ: every node connected to every other, or all through forwarders.

Raw sockets that never wait, read by the event loop. Control frames and chat frames have a SUB
each, and so a connection and a queue each at both ends: a burst of chat neither drops nor delays
a beat. To send, one PUB is enough where peers connect to us, since it keeps a queue for each
connection; towards a forwarder we are the one who connects, so there are two.

A PUB is never read. It learns of new subscribers at its next send, before the frame goes out.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import zmq

from zmqchat.errors import StartError
from zmqchat.mesh.bus import BusCounts, Peer, Sink
from zmqchat.mesh.door import Door
from zmqchat.mesh.drain import Drain
from zmqchat.mesh.inlet import Inlet, chat_topics, control_topics
from zmqchat.mesh.keys import NO_KEYS, Keys
from zmqchat.mesh.knocks import Knocks
from zmqchat.mesh.links import Link, Links
from zmqchat.mesh.sockets import LINGER_MS, bind, open_socket
from zmqchat.wire.mesh import Chat, Codec, Control, SyncRequest, goes_with_chat


def _of_no_interest(_endpoint: str, _link: Link) -> None:
    """Ignore a change of a link over which chat goes: control frames tell who lives."""


class _Ear(NamedTuple):
    """A SUB: its connections, and what reads it."""

    links: Links
    drain: Drain[bytes]


class _ZeroMqBus:
    """What both topologies share: two SUBs that are read, and publishing through given PUBs."""

    def __init__(self, codec: Codec, keys: Keys) -> None:
        self.counts = BusCounts()
        self._codec = codec
        self._keys = keys
        self._context: zmq.SyncContext = zmq.Context()
        self._inlet = Inlet(codec, self.counts)
        self._sink: Sink | None = None
        self._links: list[Links] = []
        self._control = self._listen(control_topics(codec.node), self._on_control_link)
        self._chat = self._listen(chat_topics(codec.node))
        self._ears = (self._control, self._chat)

    @property
    def chat_oseq(self) -> int:
        """The number of the newest chat frame published."""
        return self._codec.chat_oseq

    def start(self, sink: Sink) -> None:
        """Begin to receive, in the running loop."""
        self._inlet.open(sink)
        self._sink = sink
        for links in self._links:
            links.start()
        for ear in self._ears:
            ear.drain.start()

    def publish_chat(self, chat: Chat) -> None:
        """Send an event of a conversation to every node that hears this one."""
        # DONTWAIT for form's sake: a PUB drops what a queue cannot hold, and never waits.
        self._send_chat(self._codec.encode_chat(chat), zmq.DONTWAIT)
        self.counts.sent += 1

    def publish_control(self, control: Control, to_node: int | None = None) -> None:
        """Send a control frame to every node, or to one alone."""
        send = self._send_chat if goes_with_chat(control) else self._send_control
        send(self._codec.encode_control(control, to_node), zmq.DONTWAIT)
        self.counts.sent += 1

    def close(self) -> None:
        """Send what is still queued for at most a second, then release every socket."""
        if not self._context.closed:
            self._release()

    def _release(self, linger_ms: int | None = None) -> None:
        for ear in self._ears:
            ear.drain.stop()
        for links in self._links:
            links.close()
        self._context.destroy(linger_ms)

    def _publish_through(self, *, control: zmq.SyncSocket, chat: zmq.SyncSocket) -> None:
        self._send_control = control.send
        self._send_chat = chat.send

    def _on_control_link(self, endpoint: str, link: Link) -> None:
        """Take a change of a link over which control frames are heard."""
        raise NotImplementedError

    def _listen(
        self, topics: Iterable[bytes], changed: Callable[[str, Link], None] = _of_no_interest
    ) -> _Ear:
        socket = open_socket(self._context, zmq.SUB)
        for topic in topics:
            socket.setsockopt(zmq.SUBSCRIBE, topic)
        drain = Drain(socket, functools.partial(socket.recv, zmq.DONTWAIT), self._inlet.take)
        return _Ear(self._watch(socket, drain.schedule, changed), drain)

    def _watch(
        self,
        socket: zmq.SyncSocket,
        touched: Callable[[], None],
        changed: Callable[[str, Link], None],
    ) -> Links:
        links = Links(socket, self.counts, touched, changed, self._keys)
        self._links.append(links)
        return links


class DirectBus(_ZeroMqBus):
    """Every node connects to every other; peers reach this one at ``endpoint``.

    Raises `StartError` if ``mesh``, as ``tcp://host:port``, cannot be bound; port 0 takes a free
    one. With keys, only peers that have one of them can connect.
    """

    def __init__(self, codec: Codec, mesh: str, keys: Keys = NO_KEYS) -> None:
        super().__init__(codec, keys)
        self._peers: tuple[Peer, ...] = ()
        publisher = open_socket(self._context, zmq.PUB)
        self._publish_through(control=publisher, chat=publisher)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._door: Door | None = None
        self._knocks: Knocks | None = None
        # A socket has one monitor: with keys the door reads it, in a thread of its own.
        if keys:
            self._door = Door(
                self._context, keys, self.counts, publisher, knocked=self._on_knock_at_door
            )
        else:
            self._knocks = Knocks(publisher, self._on_knock)
        try:
            self.endpoint = bind(publisher, mesh)
        except StartError:
            self.close()
            raise

    def start(self, sink: Sink) -> None:
        """Begin to receive, in the running loop."""
        super().start(sink)
        self._loop = asyncio.get_running_loop()
        if self._knocks is not None:
            self._knocks.start()

    def follow(self, peers: Iterable[Peer]) -> None:
        """Be connected to exactly these peers; who has no endpoint yet is left out."""
        own = self._codec.node
        self._peers = tuple(peer for peer in peers if peer.mesh and peer.node != own)
        endpoints = {peer.mesh for peer in self._peers}
        for ear in self._ears:
            ear.links.follow(endpoints)

    def _release(self, linger_ms: int | None = None) -> None:
        if self._door is not None:
            self._door.close()
        if self._knocks is not None:
            self._knocks.close()
        super()._release(linger_ms)

    def _on_knock_at_door(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._on_knock)

    def _on_knock(self) -> None:
        if self._sink is not None:
            self._sink.on_knock()

    def _on_control_link(self, endpoint: str, link: Link) -> None:
        self._control.drain.run()  # what came over a link that broke still counts as heard before
        for peer in self._peers:
            if peer.mesh == endpoint and self._sink is not None:
                self._sink.on_link(peer.node, up=link is Link.UP, refused=link is Link.REFUSED)


class ForwardedBus(_ZeroMqBus):
    """Every node connects to every forwarder, given as pairs of ``(xsub, xpub)`` endpoints."""

    endpoint = ""  # peers need not reach this node

    def __init__(
        self, codec: Codec, forwarders: Sequence[tuple[str, str]], keys: Keys = NO_KEYS
    ) -> None:
        super().__init__(codec, keys)
        self._forwarders = tuple(forwarders)
        self._up: set[str] = set()  # ends of forwarders to which a control socket is connected
        self._any_complete = False
        for ear in self._ears:
            ear.links.follow(xpub for _, xpub in forwarders)
        control, chat = (open_socket(self._context, zmq.PUB) for _ in range(2))
        for publisher, changed in ((control, self._on_control_link), (chat, _of_no_interest)):
            links = self._watch(publisher, _never_read, changed)
            links.follow(xsub for xsub, _ in forwarders)
        self._publish_through(control=control, chat=chat)

    def follow(self, peers: Iterable[Peer]) -> None:
        """Change nothing: the forwarders bring the frames of all."""

    def close(self) -> None:
        """Wait up to a second until every forwarder has read everything, then release all.

        That frames have left this process is not enough here. When our SUBs go, a forwarder
        unsubscribes our topic at all publishers; a connection of ours that is closed already
        answers with a reset, and what the forwarder had not read of it yet is lost.
        """
        if not self._context.closed:
            self._await_echoes()
            self._release(linger_ms=0)

    def _on_control_link(self, endpoint: str, link: Link) -> None:
        if link is Link.UP:
            self._up.add(endpoint)
        else:
            self._up.discard(endpoint)
        complete = any(self._up.issuperset(ends) for ends in self._forwarders)
        if complete is not self._any_complete and self._sink is not None:
            self._any_complete = complete
            self._sink.on_forwarders(up=complete)

    def _await_echoes(self) -> None:
        """Send a last frame to this node itself down each way, and see them come back."""
        echo = self._codec.encode_control(SyncRequest(self._codec.incarnation, 0), self._codec.node)
        for send in (self._send_control, self._send_chat):
            send(echo, zmq.DONTWAIT)
        missing = 2 * len(self._forwarders)
        socket = self._control.links.socket
        end = time.monotonic() + LINGER_MS / 1000
        while (
            missing and (left_s := end - time.monotonic()) > 0 and socket.poll(int(left_s * 1000))
        ):
            missing -= socket.recv(zmq.DONTWAIT) == echo


def _never_read() -> None:
    """A PUB is not read, so there is nothing to repeat after a call on it."""
