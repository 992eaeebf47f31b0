"""Trouble at random: users come and go while links, processes and forwarders fail.

Afterwards everything is mended, and all views have to be right soon.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from scripts.simulation.network import RECONNECT_S
from scripts.simulation.script import (
    AddNode,
    CutLink,
    HealLink,
    JumpClock,
    Kill,
    Leave,
    Pause,
    Restart,
    Resume,
    Stall,
    StartForwarder,
    Step,
    StopForwarder,
)
from scripts.simulation.world import World

USERS = 12
OWN_SESSIONS = 0.5  # chance of a user's step being an opening
MEND_S = RECONNECT_S[1] + 0.01  # until the last link is up


class Trouble:
    """Makes trouble in a world; its own seed, so that a world's chance stays what it is."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._rng = random.Random(seed)
        self._undo: list[Step] = []
        self._stalled_until = 0.0
        self._most_nodes = len(world.hosts) + 2
        self._makers: list[Callable[[], list[Step] | None]] = [
            self._process,
            self._link,
            self._stall,
            self._clock,
        ]
        if world.network.forwarders:
            self._makers += [self._forwarder]

    def make(self, seconds: float) -> None:
        """Let users come and go, and things fail and be mended, for a while."""
        end = self._world.now + seconds
        while self._world.now < end:
            self._world.run(self._rng.expovariate(5.0))
            if self._rng.random() < 0.7:
                self._user()
            elif self._undo and self._rng.random() < 0.5:
                self._undo.pop(self._rng.randrange(len(self._undo))).apply(self._world)
            else:
                self._fault()

    def mend(self) -> None:
        """Undo every fault, and wait until the last link is up."""
        for step in self._undo:
            step.apply(self._world)
        self._undo = []
        self._world.run(max(MEND_S, self._stalled_until - self._world.now))

    def _user(self) -> None:
        """Let a user open or close a session somewhere."""
        hosts = [host for host in self._world.hosts.values() if host.listens]
        if not hosts:
            return
        host = self._rng.choice(hosts)
        if host.sessions and self._rng.random() >= OWN_SESSIONS:
            self._world.close(host.number, self._rng.choice(list(host.sessions)))
        else:
            self._world.open(host.number, f"u{self._rng.randrange(USERS)}")

    def _fault(self) -> None:
        steps = self._rng.choice(self._makers)()
        if steps is not None:
            do, *undo = steps
            do.apply(self._world)
            self._undo += undo

    def _listening(self) -> int | None:
        """Choose a node that nothing is wrong with, unless it is the last."""
        touched = {getattr(step, "node", None) for step in self._undo}
        numbers = [
            host.number
            for host in self._world.hosts.values()
            if host.listens and host.number not in touched
        ]
        return self._rng.choice(numbers) if len(numbers) > 1 else None

    def _process(self) -> list[Step] | None:
        node = self._listening()
        if node is None:
            return None
        choices: list[list[Step]] = [
            [Kill(node), Restart(node)],
            [Leave(node), Restart(node)],
            [Pause(node), Resume(node)],
        ]
        if len(self._world.hosts) < self._most_nodes:
            choices.append([AddNode(max(self._world.hosts) + 1)])
        return self._rng.choice(choices)

    def _link(self) -> list[Step] | None:
        node, source = self._listening(), self._listening()
        if node is None or source is None or node == source or self._world.network.forwarders:
            return None
        return [
            CutLink(source, node, silent=self._rng.random() < 0.5),
            HealLink(source, node),
        ]

    def _stall(self) -> list[Step] | None:
        node, source = self._listening(), self._listening()
        if node is None or source is None or node == source:
            return None
        names = [name for name, runs in self._world.network.forwarders.items() if runs]
        if self._world.network.forwarders and not names:
            return None
        start = self._rng.choice(names) if names else source
        seconds = self._rng.uniform(0.1, 3.0)
        self._stalled_until = max(self._stalled_until, self._world.now + seconds)
        return [Stall(start, node, seconds)]

    def _clock(self) -> list[Step] | None:
        node = self._listening()
        return [JumpClock(node, self._rng.uniform(0.1, 20.0))] if node is not None else None

    def _forwarder(self) -> list[Step] | None:
        names = [name for name, runs in self._world.network.forwarders.items() if runs]
        if not names:
            return None
        name = self._rng.choice(names)
        return [StopForwarder(name), StartForwarder(name)]
