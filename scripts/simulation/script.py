"""The steps of a simulated story: ``play(world, [Open(1, "u1"), Cut(1, 2), Wait(3.0), ...])``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from scripts.simulation.checks import disagreement
from scripts.simulation.network import Source
from scripts.simulation.world import World
from zmqchat.core.gossip import interval_of
from zmqchat.core.roster import Shown


class Step(Protocol):
    """Something that is done to a world."""

    def apply(self, world: World) -> None:
        """Do it."""


class Wait(NamedTuple):
    """Let time pass."""

    seconds: float

    def apply(self, world: World) -> None:
        """Do it."""
        world.run(self.seconds)


class _OfNode(NamedTuple):
    node: int


class AddNode(_OfNode):
    """Start a node that was never there."""

    def apply(self, world: World) -> None:
        """Do it."""
        world.start(self.node)


class Kill(_OfNode):
    """End a node without a word."""

    def apply(self, world: World) -> None:
        """Do it."""
        world.kill(self.node)


class Restart(_OfNode):
    """Start a dead node as a new life."""

    def apply(self, world: World) -> None:
        """Do it."""
        world.start(self.node)


class Leave(_OfNode):
    """End a node in good order."""

    def apply(self, world: World) -> None:
        """Do it."""
        world.leave(self.node)


class Pause(_OfNode):
    """Stop a node's process."""

    def apply(self, world: World) -> None:
        """Do it."""
        world.pause(self.node)


class Resume(_OfNode):
    """Let a stopped node go on."""

    def apply(self, world: World) -> None:
        """Do it."""
        world.resume(self.node)


class JumpClock(NamedTuple):
    """Set a node's clock forward."""

    node: int
    seconds: float

    def apply(self, world: World) -> None:
        """Do it."""
        world.jump_clock(self.node, self.seconds)


class CutLink(NamedTuple):
    """Break one way between two nodes, or from a forwarder to a node."""

    source: Source
    node: int
    silent: bool = False

    def apply(self, world: World) -> None:
        """Do it."""
        world.cut(self.source, self.node, silent=self.silent)


class HealLink(NamedTuple):
    """Let it be connected again."""

    source: Source
    node: int

    def apply(self, world: World) -> None:
        """Do it."""
        world.heal(self.source, self.node)


class Stall(NamedTuple):
    """Let a node not read one pipe for a while."""

    source: Source
    node: int
    seconds: float

    def apply(self, world: World) -> None:
        """Do it."""
        world.stall(self.source, self.node, self.seconds)


class StopForwarder(NamedTuple):
    """Kill a forwarder."""

    name: str

    def apply(self, world: World) -> None:
        """Do it."""
        world.stop_forwarder(self.name)


class StartForwarder(NamedTuple):
    """Start it again."""

    name: str

    def apply(self, world: World) -> None:
        """Do it."""
        world.start_forwarder(self.name)


class Open(NamedTuple):
    """Open a session of a user."""

    node: int
    user: str

    def apply(self, world: World) -> None:
        """Do it."""
        world.open(self.node, self.user)


class Close(NamedTuple):
    """Close a user's oldest session on a node."""

    node: int
    user: str

    def apply(self, world: World) -> None:
        """Do it."""
        sessions = world.hosts[self.node].sessions
        world.close(self.node, next(key for key, user in sessions.items() if user == self.user))


class Expect(NamedTuple):
    """See that every running node of some shows a user so, now."""

    user: str
    shown: Shown
    nodes: tuple[int, ...]

    def apply(self, world: World) -> None:
        """Do it."""
        for node in self.nodes:
            seen = world.hosts[node].engine.roster.users.get(self.user, Shown.OFFLINE)
            if seen is not self.shown:
                world.fail(f"{node} shows {self.user} {seen.value}, not {self.shown.value}")


class ExpectAgreement(NamedTuple):
    """See that all views are right two intervals and half a second from now at the latest."""

    def apply(self, world: World) -> None:
        """Do it."""
        running = sum(host.running for host in world.hosts.values())
        within = 2 * interval_of(running) + 0.5
        problem = ""

        def agreed() -> bool:
            nonlocal problem
            problem = disagreement(world) or ""
            return not problem

        start = world.now
        while not agreed():
            if world.now - start > within:
                world.fail(f"not within {within} s: views agree; {problem}")
            world.run(0.05)


class Check(NamedTuple):
    """See that something holds now."""

    what: str
    holds: Callable[[World], bool]

    def apply(self, world: World) -> None:
        """Do it."""
        if not self.holds(world):
            world.fail(f"{self.what} does not hold")


def play(world: World, steps: Iterable[Step]) -> None:
    """Do one step after the other."""
    for step in steps:
        step.apply(world)
