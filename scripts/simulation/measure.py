"""How fast and how right: figures of a cluster of so many nodes."""

from __future__ import annotations

import gc
import math
import random
from collections.abc import Iterable
from typing import NamedTuple

from scripts.simulation.checks import Checks
from scripts.simulation.script import ExpectAgreement
from scripts.simulation.trouble import Trouble
from scripts.simulation.world import Host, Watcher, World
from zmqchat.core.gossip import News
from zmqchat.core.members import RELAYS, Turn

CHANGES = 40  # sessions opened and closed to see how soon that is known
CHANGES_EVERY_S = 0.23
MOST_HOMES = 40  # nodes that have sessions: each costs memory at every other
CRASHES = 5  # one after the other


class Spread(NamedTuple):
    """Middle, near worst and worst of some durations, in seconds."""

    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarise; all are infinite if there are none."""
        ranked = sorted(values)
        if not ranked:
            return cls(math.inf, math.inf, math.inf)
        return cls(
            ranked[len(ranked) // 2],
            ranked[min(len(ranked) - 1, math.ceil(len(ranked) * 0.99) - 1)],
            ranked[-1],
        )


class Quiet(NamedTuple):
    """What a cluster does that nothing happens to but users who come and go, and loss."""

    false_deaths: int
    visible: Spread  # a session's opening or closing, at each other node
    bytes_per_second: float  # received by a node
    trace: str


class Crash(NamedTuple):
    """How soon a node that stopped is found out, at each other node."""

    unknown: Spread  # its users are shown as unknown
    down: Spread


class _Visibility(Watcher):
    """Notes how long each change takes to each other node."""

    def __init__(self, world: World) -> None:
        self.seconds: list[float] = []
        self._world = world
        self._waiting: dict[int, dict[int, float]] = {}  # node -> version -> when it changed
        self._versions: dict[int, int] = {}
        self._known: dict[tuple[int, int], int] = {}
        world.watchers.append(self)

    def on_own(self, host: Host, session: int, user: str, *, opened: bool) -> None:
        """Remember when a version began."""
        del session, user, opened
        node = host.number
        self._versions[node] = self._versions.get(node, 0) + 1
        self._waiting.setdefault(node, {})[self._versions[node]] = self._world.now

    def on_log(self, host: Host, node: int) -> None:
        """Note the versions that a node has come to know."""
        version, _ = host.engine.presence.version(node)
        known = self._known.get((host.number, node), 0)
        if version <= known:
            return
        self._known[host.number, node] = version
        changed_at = self._waiting[node]
        for one in range(known + 1, version + 1):
            self.seconds.append(self._world.now - changed_at[one])

    def missing(self, nodes: int) -> int:
        """How many changes have not reached how many nodes, in all."""
        return sum(self._versions.values()) * (nodes - 1) - len(self.seconds)


class _Detection(Watcher):
    """Notes how long each other node takes to find out about one."""

    def __init__(self, world: World) -> None:
        self.unknown: list[float] = []
        self.down: list[float] = []
        self._world = world
        self._node = 0
        self._since = 0.0
        world.watchers.append(self)

    def begin(self, node: int) -> None:
        """Note when a node stopped."""
        self._node, self._since = node, self._world.now

    def on_news(self, host: Host, news: News) -> None:
        """Note what a node found out."""
        del host
        if news.node == self._node and news.turn is Turn.SUSPECT:
            self.unknown.append(self._world.now - self._since)
        elif news.node == self._node and news.turn is Turn.DOWN:
            self.down.append(self._world.now - self._since)


def make_world(
    nodes: int,
    seed: int,
    *,
    direct: bool = False,
    loss: float = 0.0,
    relays: int = RELAYS,
    guards_pauses: bool = True,
    decode_each: bool = False,
) -> World:
    """Make a settled cluster; the collector is not to walk its millions of objects."""
    gc.disable()
    world = World(
        nodes,
        seed,
        forwarders=() if direct else ("f1",),
        loss=loss,
        relays=relays,
        guards_pauses=guards_pauses,
        decode_each=decode_each,
    )
    gc.freeze()
    gc.enable()
    return world


def quiet(world: World, seconds: float) -> Quiet:
    """Let users come and go for a while, and nothing else."""
    checks, visibility = Checks(world), _Visibility(world)
    rng = random.Random(world.seed)
    homes = list(world.hosts.values())[:MOST_HOMES]
    end = world.now + seconds
    first_bytes = world.bytes
    for number in range(CHANGES):
        host = rng.choice(homes)
        if host.sessions and rng.random() < 0.5:
            world.close(host.number, rng.choice(list(host.sessions)))
        else:
            world.open(host.number, f"u{number}")
        world.run(CHANGES_EVERY_S)
    world.run_to(max(end, world.now + 1.0))
    if not world.loss and visibility.missing(len(world.hosts)):
        world.fail(f"{visibility.missing(len(world.hosts))} changes did not arrive")
    return Quiet(
        checks.false_deaths,
        Spread.of(visibility.seconds),
        (world.bytes - first_bytes) / len(world.hosts) / (world.now - (end - seconds)),
        world.trace,
    )


def crash(world: World, *, paused: bool = False) -> Crash:
    """Kill, or stop, one node after the other, and let each come back."""
    Checks(world)
    detection = _Detection(world)
    rng = random.Random(world.seed)
    for number in rng.sample(sorted(world.hosts), min(CRASHES, len(world.hosts) - 1)):
        world.open(number, f"u{number}")
        world.run(2 + rng.random())
        detection.begin(number)
        (world.pause if paused else world.kill)(number)
        world.run(20.0)
        (world.resume if paused else world.start)(number)
        world.run(5.0)
    return Crash(Spread.of(detection.unknown), Spread.of(detection.down))


def mended(world: World, seconds: float) -> float:
    """Make trouble for a while; return how long all views take to be right after it."""
    Checks(world)
    trouble = Trouble(world, world.seed)
    trouble.make(seconds)
    trouble.mend()
    start = world.now
    ExpectAgreement().apply(world)
    return world.now - start
