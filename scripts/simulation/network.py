"""What carries frames between simulated nodes, and how it fails.

Modelled on libzmq, not on datagrams: each pipe keeps its order; what a reader does not take waits
up to the high-water mark, and then what comes last is lost, a burst at a time; a pipe that breaks
is connected again after a while, and what is sent before the subscription has arrived is lost; a
pipe may also die without a word. In a direct mesh there is a pipe from every node to every other;
with forwarders there is one from each node to each forwarder, and one back.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

HIGH_WATER_MARK = 1000
DELAYS_S = (0.0003, 0.001, 0.003)  # of a pipe, one of these
RECONNECT_S = (0.1, 0.3)

Source = int | str  # a node's number, or a forwarder's name


class Pipe:
    """One way from a source to a node that is not simply working."""

    __slots__ = ("carries", "loss", "queue")

    def __init__(self) -> None:
        self.carries = True
        self.loss = 0.0  # share of frames that get lost, each by itself
        self.queue: deque[Any] | None = None  # what waits while nobody reads

    @property
    def works(self) -> bool:
        """Whether it is as good as any."""
        return self.carries and not self.loss and self.queue is None


class Network:
    """Who hears whom, and how late. Nodes are meant by their numbers."""

    def __init__(self, forwarders: Iterable[str], rng: random.Random) -> None:
        self.forwarders = dict.fromkeys(forwarders, True)  # name -> whether it runs
        self._rng = rng
        self._delays: dict[int, float] = {}  # of all pipes to a node
        self._pipes: dict[tuple[Source, int], Pipe] = {}
        self._mute: dict[tuple[int, str], None] = {}  # nodes whose frames no forwarder gets
        self._routes: dict[Source, list[tuple[float, list[int]]]] = {}

    @property
    def direct(self) -> bool:
        """Whether nodes are connected without forwarders."""
        return not self.forwarders

    def join(self, node: int) -> None:
        """Connect a node."""
        self._delays.setdefault(node, self._rng.choice(DELAYS_S))
        self._routes.clear()

    def delay(self, node: int) -> float:
        """How long a frame to a node travels, in seconds."""
        return self._delays[node]

    def sources(self, origin: int) -> list[Source]:
        """Where a frame of a node comes from, for those who receive it."""
        if self.direct:
            return [origin]
        return [
            name
            for name, runs in self.forwarders.items()
            if runs and (origin, name) not in self._mute
        ]

    def pipe(self, source: Source, node: int) -> Pipe:
        """The pipe between two, to be changed; call `changed` afterwards."""
        return self._pipes.setdefault((source, node), Pipe())

    def find(self, source: Source, node: int) -> Pipe | None:
        """The pipe between two if there is something about it."""
        return self._pipes.get((source, node))

    def changed(self) -> None:
        """Note that pipes were changed."""
        self._pipes = {key: pipe for key, pipe in self._pipes.items() if not pipe.works}
        self._routes.clear()

    def mute(self, node: int, forwarder: str, *, muted: bool) -> None:
        """Break or mend the way from a node to a forwarder."""
        if muted:
            self._mute[node, forwarder] = None
        else:
            self._mute.pop((node, forwarder), None)

    def is_mute(self, node: int, forwarder: str) -> bool:
        """Whether the way from a node to a forwarder is broken."""
        return (node, forwarder) in self._mute

    def routes(self, source: Source) -> list[tuple[float, list[int]]]:
        """Who hears a source through a working pipe, by delay."""
        if source not in self._routes:
            groups: dict[float, list[int]] = {delay: [] for delay in DELAYS_S}
            for node, delay in self._delays.items():
                if node != source and (source, node) not in self._pipes:
                    groups[delay].append(node)
            self._routes[source] = list(groups.items())
        return self._routes[source]

    def troubled(self, source: Source) -> Iterator[tuple[int, Pipe]]:
        """Yield the pipes of a source that have something about them."""
        for (start, node), pipe in self._pipes.items():
            if start == source:
                yield node, pipe
