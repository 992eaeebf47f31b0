"""Every kind of bus, made ready for the contract suite: nodes that join, and strangers.

A `Mesh` makes `Node`s of one kind of bus. A node's sink keeps what it got; frames of the warm-up,
by which `Mesh.meet` waits until every link is up, are left out.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator

import zmq

from tests.clients import until
from zmqchat.mesh.bus import Bus, BusCounts, Peer
from zmqchat.mesh.door import Door
from zmqchat.mesh.forwarder import Forwarder
from zmqchat.mesh.keys import NO_KEYS, Keys
from zmqchat.mesh.memory import MemoryNetwork
from zmqchat.mesh.zeromq import DirectBus, ForwardedBus
from zmqchat.wire.mesh import (
    Audience,
    Beat,
    Chat,
    ChatKind,
    Codec,
    Control,
    Header,
    State,
    SyncRequest,
)

CLUSTER = "contract"
ANY_PORT = "tcp://127.0.0.1:0"
KEYS = Keys(["5e" * 32])
_WARM_UP = "warm-up"
_WARM_UP_INTERVAL_MS = 0


def chat(number: int, body: bytes = b"{}") -> Chat:
    """An event of a conversation, told from others by its number."""
    return Chat(ChatKind.MESSAGE, Audience.ALL, "customer", number, body)


def beat(number: int) -> Beat:
    """A control frame for everybody, told from others by its number."""
    return Beat(500, number, 1, 0, State.UP, 0)


def request(number: int) -> SyncRequest:
    """A control frame for one node, told from others by its number."""
    return SyncRequest(1, number)


class Recorder:
    """A sink that keeps what it got."""

    def __init__(self) -> None:
        self.chats: list[tuple[int, Chat]] = []
        self.controls: list[tuple[int, Control]] = []
        self.warm_ups: list[tuple[int, int, type]] = []
        self.links: list[tuple[int, bool, bool]] = []
        self.forwarders: list[bool] = []
        self.knocks = 0
        self.on_event: Callable[[], None] = lambda: None
        # Numbers by origin and class, in the order of their first arrival.
        self._numbers: dict[tuple[int, type], dict[int, None]] = {}

    def on_chat(self, header: Header, chat: Chat) -> None:
        """Keep it, with its origin."""
        if chat.conversation == _WARM_UP:
            self.warm_ups.append((header.node, chat.seq, Chat))
            return
        self.chats.append((header.node, chat))
        self._numbers.setdefault((header.node, Chat), {})[chat.seq] = None
        self.on_event()

    def on_control(self, header: Header, control: Control) -> None:
        """Keep it, with its origin."""
        if isinstance(control, Beat):
            if control.interval_ms == _WARM_UP_INTERVAL_MS:
                self.warm_ups.append((header.node, control.number, Beat))
                return
            self._numbers.setdefault((header.node, Beat), {})[control.number] = None
        self.controls.append((header.node, control))
        self.on_event()

    def on_link(self, node: int, *, up: bool, refused: bool = False) -> None:
        """Keep it."""
        self.links.append((node, up, refused))

    def on_knock(self) -> None:
        """Count it."""
        self.knocks += 1

    def on_forwarders(self, *, up: bool) -> None:
        """Keep it."""
        self.forwarders.append(up)

    def chat_numbers(self, origin: int) -> list[int]:
        """Numbers of the chats of one origin as they arrived, without second copies."""
        return list(self._numbers.get((origin, Chat), ()))

    def beat_numbers(self, origin: int) -> list[int]:
        """The same of its beats."""
        return list(self._numbers.get((origin, Beat), ()))


class Node:
    """One node's bus and what it got."""

    def __init__(self, number: int, bus: Bus) -> None:
        self.number = number
        self.bus = bus
        self.sink = Recorder()
        self.peer = Peer(number, f"n{number}", bus.endpoint)

    def start(self) -> Node:
        """Begin to receive."""
        self.bus.start(self.sink)
        return self

    def warm_up(self, number: int = 0) -> None:
        """Publish something that shows which links are up."""
        self.bus.publish_chat(Chat(ChatKind.READ, Audience.ALL, _WARM_UP, number, b""))
        self.bus.publish_control(Beat(_WARM_UP_INTERVAL_MS, number, 0, 0, State.UP, 0))

    async def gets_chat(self, origin: Node, count: int) -> None:
        """Wait until so many different chats of an origin have arrived."""
        await until(
            f"{count} chats of {origin.peer.name} at {self.peer.name}",
            lambda: len(self.sink.chat_numbers(origin.number)) >= count,
            lambda: (len(self.sink.chats), vars(self.bus.counts)),
        )

    async def gets_beat(self, origin: Node, number: int) -> None:
        """Wait until a beat with this number has arrived."""
        await until(
            f"beat {number} of {origin.peer.name} at {self.peer.name}",
            lambda: number in self.sink.beat_numbers(origin.number),
            lambda: (self.sink.beat_numbers(origin.number)[-5:], vars(self.bus.counts)),
        )


class Mesh:
    """Nodes of one kind of bus.

    ``copies`` is how often each frame arrives, ``follows`` whether `Bus.follow` has a meaning,
    ``strangers`` makes something that sends raw bytes to those who follow its peer.
    """

    def __init__(
        self,
        make: Callable[[Codec], Bus],
        strangers: Callable[[], Stranger],
        *,
        copies: int = 1,
        follows: bool = True,
    ) -> None:
        self.copies = copies
        self.follows = follows
        self._make = make
        self._strangers = strangers
        self._closing = contextlib.ExitStack()
        self._warm_up_numbers = itertools.count(1)

    def join(self, number: int) -> Node:
        """Make one more node; it is closed with the mesh, unless it was before."""
        node = Node(number, self._make(Codec(CLUSTER, number, 1)))
        self._closing.callback(node.bus.close)
        return node

    def stranger(self) -> Stranger:
        """Make somebody who is no node and sends what it likes."""
        stranger = self._strangers()
        self._closing.callback(stranger.close)
        return stranger

    def close(self) -> None:
        """Close whatever was made."""
        self._closing.close()

    async def meet(self, *nodes: Node) -> None:
        """Make nodes follow each other, and wait until each hears each over every link."""
        for node in nodes:
            node.bus.follow(other.peer for other in nodes if other is not node)

        first = next(self._warm_up_numbers)
        newest = first

        def deaf() -> list[tuple[int, int, type]]:
            # A frame that arrives as often as there are ways to come has come by each of them.
            return [
                (node.number, other.number, kind)
                for node in nodes
                for other in nodes
                for kind in (Chat, Beat)
                if other is not node
                and not any(
                    node.sink.warm_ups.count((other.number, number, kind)) >= self.copies
                    for number in range(first, newest + 1)
                )
            ]

        def met() -> bool:
            nonlocal newest
            if not deaf():
                return True
            newest = next(self._warm_up_numbers)
            for node in nodes:
                node.warm_up(newest)
            return False

        await until("every node hears every other", met, deaf)


class Stranger:
    """Sends raw bytes to a node; by default over a PUB of its own."""

    def __init__(self, socket: zmq.SyncSocket, peer: Peer | None = None) -> None:
        self.peer = peer
        self._socket = socket

    def send(self, frame: bytes, to: Node) -> None:  # noqa: ARG002 - it cannot choose
        """Publish bytes to whoever subscribes to their beginning."""
        self._socket.send(frame)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class MemoryStranger(Stranger):
    """Puts raw bytes into a node's queues."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.peer = None
        self._network = network

    def send(self, frame: bytes, to: Node) -> None:
        """Bring bytes to one node."""
        self._network.inject(frame, to.number)

    def close(self) -> None:
        """Nothing was opened."""


@contextlib.contextmanager
def memory() -> Iterator[Mesh]:
    """Buses in memory."""
    network = MemoryNetwork()
    yield Mesh(network.bus, lambda: MemoryStranger(network))


@contextlib.contextmanager
def direct(keys: Keys = NO_KEYS) -> Iterator[Mesh]:
    """Every node connected to every other over real sockets; strangers have the keys too."""
    numbers = itertools.count(900)
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(zmq.Context())

        def stranger() -> Stranger:
            socket = context.socket(zmq.PUB)
            socket.setsockopt(zmq.LINGER, 0)
            if keys:
                stack.callback(Door(context, keys, BusCounts(), socket).close)
            port = socket.bind_to_random_port("tcp://127.0.0.1", 20_000, 32_000)
            return Stranger(socket, Peer(next(numbers), "stranger", f"tcp://127.0.0.1:{port}"))

        yield Mesh(lambda codec: DirectBus(codec, ANY_PORT, keys), stranger)


@contextlib.contextmanager
def forwarded(count: int, keys: Keys = NO_KEYS) -> Iterator[Mesh]:
    """Nodes connected through so many real forwarders; strangers have the keys too."""
    with contextlib.ExitStack() as stack:
        forwarders = [stack.enter_context(running_forwarder(keys=keys)) for _ in range(count)]
        context = stack.enter_context(zmq.Context())

        def stranger() -> Stranger:
            socket = context.socket(zmq.PUB)
            socket.setsockopt(zmq.LINGER, 0)
            if keys:
                keys.show(socket, 0)
            socket.connect(forwarders[0].xsub)
            return Stranger(socket)

        endpoints = [(forwarder.xsub, forwarder.xpub) for forwarder in forwarders]
        yield Mesh(
            lambda codec: ForwardedBus(codec, endpoints, keys),
            stranger,
            copies=count,
            follows=False,
        )


@contextlib.contextmanager
def running_forwarder(
    xsub: str = ANY_PORT, xpub: str = ANY_PORT, keys: Keys = NO_KEYS
) -> Iterator[Forwarder]:
    """Run a forwarder in a thread of this process; fail if it does not stop when told to."""
    forwarder = Forwarder(xsub, xpub, keys)
    forwarder.bind()
    thread = threading.Thread(target=forwarder.run)
    thread.start()
    try:
        yield forwarder
    finally:
        forwarder.stop()
        thread.join(timeout=5)
        assert not thread.is_alive(), "the forwarder did not stop"


Kind = Callable[[], contextlib.AbstractContextManager[Mesh]]
KINDS: dict[str, Kind] = {
    "memory": memory,
    "direct": direct,
    "one forwarder": lambda: forwarded(1),
    "two forwarders": lambda: forwarded(2),
}
# With CURVE below, the same holds; a test that runs over these too says why it does.
KINDS_WITH_KEYS: dict[str, Kind] = {
    "direct with keys": lambda: direct(KEYS),
    "a forwarder with keys": lambda: forwarded(1, KEYS),
}
