"""A cluster whose every link can be broken: processes, the links between them, the database.

A node's own configuration leads it to links instead of forwarders. What a fault has hold of is
claimed until it is mended, so that two faults do not break one thing; one node is always left
alone, since with none there is nothing to see.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from scripts.faulting.databases import Database
from scripts.faulting.links import HOST, Link, Network
from scripts.faulting.wires import Wire, problem_of_wires
from tests.processes import ClusterProcesses

INWARD, OUTWARD = "xpub", "xsub"  # the ends of a forwarder that bring frames and take them
ENDS = (INWARD, OUTWARD)
SUPERVISOR_PAUSE_S = 0.5
DATABASE = "database"


class Taken(Exception):  # noqa: N818 - a state of the site
    """What a fault wants to break is in the hands of others."""


class Site:
    """A running cluster with forwarders; to be used in a ``with`` block.

    ``lossy`` links can lose single frames, and cost more. A ``shared`` site serves several tests.
    With ``wires`` each node has a network of its own, where this machine allows it.
    """

    def __init__(
        self,
        folder: Path,
        database: Database,
        *,
        nodes: int = 3,
        forwarders: int = 2,
        lossy: bool = False,
        shared: bool = False,
        wires: bool = False,
        **settings: Any,
    ) -> None:
        self.database = database
        self.network = Network()
        self._make_cluster = functools.partial(
            ClusterProcesses,
            folder,
            nodes=nodes,
            topology="forwarder",
            forwarders=forwarders,
            own_config=self._own_config,
            own_argv=self._own_argv,
            shared=shared,
            **settings,
        )
        self._lossy = lossy
        self._links: dict[tuple[str, str, str], Link] = {}  # by node, forwarder and end
        self.database_links: dict[str, Link] = {}  # by node; none if the database is a file
        self.wires: dict[str, Wire] = {}  # by node
        self.wires_problem = problem_of_wires() if wires else "no networks were asked for"
        self._wire_count = 0 if self.wires_problem else nodes
        self._claimed: set[str] = set()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.database)
            stack.enter_context(self.network)
            for number in range(1, self._wire_count + 1):
                self.wires[f"n{number}"] = stack.enter_context(Wire(number))
            self.cluster = self._make_cluster(database=self.database.url)
            stack.enter_context(self.cluster)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def urls(self) -> Mapping[str, str]:
        """Where the nodes are whose processes run; one of them may be frozen."""
        processes = self.cluster.processes
        return {
            name: self.cluster.url_of[name]
            for name in self.cluster.nodes
            if processes[name].returncode is None
        }

    @property
    def missing(self) -> Mapping[str, str]:
        """Faults that this site cannot have, and why."""
        wireless = {"pull-wire": self.wires_problem} if self.wires_problem else {}
        return {**self.database.missing, **wireless}

    def links(
        self,
        nodes: Sequence[str] | None = None,
        forwarders: Sequence[str] | None = None,
        ends: Sequence[str] = ENDS,
    ) -> list[Link]:
        """Links of these nodes to these ends of these forwarders, or of all and to all."""
        wanted = itertools.product(
            nodes or self.cluster.nodes, forwarders or self.cluster.forwarders, ends
        )
        return [self._links[key] for key in wanted]

    @contextlib.contextmanager
    def claim(self, rng: random.Random, names: Sequence[str], *, leave: int = 0) -> Iterator[str]:
        """Have one of these things alone; raise `Taken` unless more than ``leave`` are free."""
        free = [name for name in names if name not in self._claimed]
        if len(free) <= leave:
            raise Taken(", ".join(names))
        name = rng.choice(free)
        self._claimed.add(name)
        try:
            yield name
        finally:
            self._claimed.discard(name)

    async def revive(self, name: str) -> None:
        """Start a process again, as a supervisor does: until it stays."""
        while True:
            self.cluster.launch(name)
            try:
                await asyncio.to_thread(self.cluster.await_ready, name)
            except AssertionError:
                if self.cluster.processes[name].returncode is None:
                    raise
                await asyncio.sleep(SUPERVISOR_PAUSE_S)
            else:
                return

    async def mend(self) -> None:
        """Heal and start what is broken, and wait until every node hears every other."""
        for link in (*self._links.values(), *self.database_links.values()):
            link.heal()
        for wire in self.wires.values():
            wire.plug()
        for name in (*self.cluster.forwarders, *self.cluster.nodes):
            if self.cluster.processes[name].returncode is not None:
                await self.revive(name)
        await asyncio.to_thread(self.cluster.await_whole)

    def _own_config(self, node: str, config: dict[str, Any]) -> dict[str, Any]:
        """Lead a node to links of its own, at our end of its wire if it has one."""
        host = HOST
        if (wire := self.wires.get(node)) is not None:
            host = wire.near
            config["mesh"]["insecure"] = True
            for row in config["nodes"]:
                row["http"] = f"{wire.far}:0" if row["name"] == node else row["http"]
        if self.database.address is not None:
            link = self.network.link(self.database.address, host=host)
            self.database_links[node] = link
            config["database"] = config["database"].replace(self.database.address, link.address)
        for forwarder in config["forwarders"]:
            for end in ENDS:
                link = self.network.link(
                    forwarder[end].removeprefix("tcp://"), host=host, zeromq=self._lossy
                )
                self._links[node, forwarder["name"], end] = link
                forwarder[end] = f"tcp://{link.address}"
        return config

    def _own_argv(self, node: str, argv: Sequence[str]) -> Sequence[str]:
        """Start a node in its own network, if it has one; that is beyond loopback."""
        wire = self.wires.get(node)
        return argv if wire is None else (*wire.inside, *argv, "--insecure")
