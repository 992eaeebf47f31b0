"""The bus in memory, with links that can be cut, slowed and made to lose.

Every frame is encoded by its sender and decoded by each receiver, as on the real bus, and travels
through the event loop. A link leads from one node to another and carries control and chat apart;
each class keeps its order on a link, whatever the link is told meanwhile. Nodes are meant by
their numbers. All buses of a network live in one event loop.
"""

from __future__ import annotations

import asyncio
import collections
import enum
import itertools
import random
from collections.abc import Callable, Iterable

from zmqchat.mesh.bus import DRAIN_LIMIT, BusCounts, Peer, Sink
from zmqchat.mesh.inlet import Inlet, chat_topics, control_topics
from zmqchat.wire.mesh import TOPIC_CHAT, Chat, Codec, Control, goes_with_chat

Loses = Callable[[bytes], bool]  # whether a link loses this frame


class FrameClass(enum.Enum):
    """What has queues of its own."""

    CONTROL = "control"
    CHAT = "chat"


BOTH = (FrameClass.CONTROL, FrameClass.CHAT)


def first(count: int) -> Loses:
    """Lose so many frames, then none."""
    left = itertools.chain(itertools.repeat(True, count), itertools.repeat(False))
    return lambda _frame: next(left)


def chance(probability: float, rng: random.Random) -> Loses:
    """Lose each frame with this probability, 0 to 1."""
    return lambda _frame: rng.random() < probability


class MemoryNetwork:
    """Joins buses, and decides what each link does with a frame."""

    def __init__(self) -> None:
        self._buses: dict[str, MemoryBus] = {}
        self._links: dict[tuple[int, int, FrameClass], _Link] = {}
        self._numbers = itertools.count(1)

    def bus(self, codec: Codec) -> MemoryBus:
        """Make the bus of one more node."""
        bus = MemoryBus(self, codec, f"memory://{next(self._numbers)}")
        self._buses[bus.endpoint] = bus
        return bus

    def cut(self, origin: int, target: int, classes: Iterable[FrameClass] = BOTH) -> None:
        """Lose everything from one node to another, until `heal`."""
        self.drop(origin, target, lambda _frame: True, classes)

    def drop(
        self, origin: int, target: int, loses: Loses, classes: Iterable[FrameClass] = BOTH
    ) -> None:
        """Lose what ``loses`` says, until `heal`; see also `first` and `chance`."""
        for frame_class in classes:
            self._link(origin, target, frame_class).loses = loses

    def delay(
        self, origin: int, target: int, seconds: float, classes: Iterable[FrameClass] = BOTH
    ) -> None:
        """Deliver what is sent from now on so much later."""
        for frame_class in classes:
            self._link(origin, target, frame_class).delay_s = seconds

    def heal(self, origin: int, target: int, classes: Iterable[FrameClass] = BOTH) -> None:
        """Lose and delay nothing any more."""
        for frame_class in classes:
            link = self._link(origin, target, frame_class)
            link.loses, link.delay_s = None, 0.0

    def inject(self, frame: bytes, target: int) -> None:
        """Put bytes of nobody's into a node's queues, as a stranger in the network would."""
        frame_class = _class_of(frame)
        for bus in self._buses.values():
            if bus.node == target:
                bus.accept(frame, frame_class)

    def carry(self, frame: bytes, frame_class: FrameClass, origin: MemoryBus) -> None:
        """Bring a frame to every bus that follows its origin and subscribes to its topic."""
        for bus in self._buses.values():
            if bus.hears(origin.endpoint, frame):
                self._link(origin.node, bus.node, frame_class).carry(frame, bus)

    def leave(self, bus: MemoryBus) -> None:
        """Take a bus off the network; what is on its way to it is lost."""
        self._buses.pop(bus.endpoint, None)

    def _link(self, origin: int, target: int, frame_class: FrameClass) -> _Link:
        key = (origin, target, frame_class)
        if key not in self._links:
            self._links[key] = _Link(frame_class)
        return self._links[key]


class _Link:
    """One class of frames from one node to another, in order."""

    def __init__(self, frame_class: FrameClass) -> None:
        self.loses: Loses | None = None
        self.delay_s = 0.0
        self._class = frame_class
        self._under_way: collections.deque[tuple[float, bytes, MemoryBus]] = collections.deque()

    def carry(self, frame: bytes, target: MemoryBus) -> None:
        if self.loses is not None and self.loses(frame):
            return
        if self.delay_s == 0 and not self._under_way:
            target.accept(frame, self._class)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + self.delay_s
        if self._under_way:
            due = max(due, self._under_way[-1][0])
        self._under_way.append((due, frame, target))
        loop.call_at(due, self._deliver_one)

    def _deliver_one(self) -> None:
        # As many calls as frames, and due times that never fall: the call may be another frame's.
        _, frame, target = self._under_way.popleft()
        target.accept(frame, self._class)


class _Queue:
    """Frames of one class that have arrived at a bus; taken in the event loop, once it listens."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._frames: collections.deque[bytes] = collections.deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._schedule()

    def stop(self) -> None:
        self._loop = None
        self._frames.clear()

    def put(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._schedule()

    def _schedule(self) -> None:
        if self._loop is not None and self._frames and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._scheduled = False
        try:
            for _ in range(min(DRAIN_LIMIT, len(self._frames))):
                self._take(self._frames.popleft())
        finally:
            self._schedule()


class MemoryBus:
    """One node's bus in a `MemoryNetwork`."""

    def __init__(self, network: MemoryNetwork, codec: Codec, endpoint: str) -> None:
        self.counts = BusCounts()
        self.endpoint = endpoint
        self.node = codec.node
        self._network = network
        self._codec = codec
        self._inlet = Inlet(codec, self.counts)
        self._queues = {frame_class: _Queue(self._inlet.take) for frame_class in FrameClass}
        self._topics = (*chat_topics(codec.node), *control_topics(codec.node))
        self._followed: set[str] = set()

    @property
    def chat_oseq(self) -> int:
        """The number of the newest chat frame published."""
        return self._codec.chat_oseq

    def start(self, sink: Sink) -> None:
        """Begin to receive, in the running loop."""
        self._inlet.open(sink)
        for queue in self._queues.values():
            queue.start()

    def follow(self, peers: Iterable[Peer]) -> None:
        """Hear exactly these peers from now on."""
        self._followed = {peer.mesh for peer in peers if peer.mesh and peer.node != self.node}

    def publish_chat(self, chat: Chat) -> None:
        """Send an event of a conversation to every node that hears this one."""
        self._publish(self._codec.encode_chat(chat), FrameClass.CHAT)

    def publish_control(self, control: Control, to_node: int | None = None) -> None:
        """Send a control frame to every node, or to one alone."""
        frame_class = FrameClass.CHAT if goes_with_chat(control) else FrameClass.CONTROL
        self._publish(self._codec.encode_control(control, to_node), frame_class)

    def close(self) -> None:
        """Leave the network; what was published before still arrives."""
        self._network.leave(self)
        for queue in self._queues.values():
            queue.stop()

    def hears(self, endpoint: str, frame: bytes) -> bool:
        """Whether a frame published at this endpoint is for this bus."""
        return endpoint in self._followed and frame.startswith(self._topics)

    def accept(self, frame: bytes, frame_class: FrameClass) -> None:
        """Queue a frame that has arrived."""
        self._queues[frame_class].put(frame)

    def _publish(self, frame: bytes, frame_class: FrameClass) -> None:
        self.counts.sent += 1
        self._network.carry(frame, frame_class, self)


def _class_of(frame: bytes) -> FrameClass:
    return FrameClass.CHAT if frame.startswith(TOPIC_CHAT) else FrameClass.CONTROL
