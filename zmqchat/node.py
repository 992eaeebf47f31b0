"""The composition root: a configuration becomes store, bus, rules and web, started and stopped.

Order of a start: the HTTP port (so that a second copy of a node stops before it touches anything),
the database, a new incarnation, the bus, gossip, requests that only read; then every live peer is
probed until its links work both ways, and only then the node is ready and takes WebSockets. Of a
stop: no new requests, clients are sent elsewhere, the list of nodes is told, what is queued is
committed and acknowledged, sockets close, the node says goodbye.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from zmqchat.config import Config, Node, check_open_mode, secret_of
from zmqchat.core.members import Turn
from zmqchat.core.roster import Change
from zmqchat.delivery import Delivery
from zmqchat.errors import CloseCode, StartError, StoreUnavailable
from zmqchat.gossip import Gossip
from zmqchat.joining import Joining
from zmqchat.limits import raise_file_limit
from zmqchat.mesh.bus import Bus
from zmqchat.mesh.keys import Keys
from zmqchat.mesh.zeromq import DirectBus, ForwardedBus
from zmqchat.peers import Peers
from zmqchat.recovery import Recovery
from zmqchat.resumes import Resumes
from zmqchat.store.database import Store
from zmqchat.store.ports import NodeRecord
from zmqchat.storeclock import StoreClock
from zmqchat.takeovers import Takeovers
from zmqchat.tasks import Tasks
from zmqchat.web.app import make_app
from zmqchat.web.metrics import NodeCollector, make_registry
from zmqchat.web.origins import Origins
from zmqchat.web.presence import tell_presence
from zmqchat.web.services import Services
from zmqchat.web.sockets import Sockets
from zmqchat.wire.client import Key
from zmqchat.wire.mesh import Beat, Chat, Codec, Control, Header, Probe, State, Takeover

try:
    import uvloop
except ImportError:  # it is not made for every platform
    uvloop = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024  # no request has a body yet
MAX_HEADER_BYTES = 16 * 1024
IDLE_CONNECTION_S = 75.0
READ_JITTER_A_NODE_S = 0.002
MOST_READ_JITTER_S = 0.5


def run(config: Config, node: Node, *, insecure: bool = False) -> None:
    """Run a node until SIGTERM or SIGINT; raise `ConfigError` or `StartError` if it cannot start.

    Prints one line when it is ready to be used.
    """
    check_open_mode(config, node, insecure=insecure)
    raise_file_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(config, node))


async def _run(config: Config, node: Node) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            log.warning("%s stops now", node.name)
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    async with running(config, node) as started:
        stopping = asyncio.ensure_future(stop.wait())
        failing = asyncio.ensure_future(started.failed.wait())
        joining = asyncio.ensure_future(started.join())
        await asyncio.wait({stopping, failing, joining}, return_when=asyncio.FIRST_COMPLETED)
        if joining.done():
            joining.result()
            print(started.ready_line, flush=True)  # noqa: T201 - told to whoever started us
        joining.cancel()
        await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        failing.cancel()
        log.info("%s stops", node.name)
    if started.failed.is_set():
        raise StartError(f"{node.name}: a part of it ended, as the log tells; start it again")


@contextlib.asynccontextmanager
async def running(config: Config, node: Node) -> AsyncIterator[RunningNode]:
    """Start a node, and stop it when the block is left; it is ready when it has joined."""
    secret = secret_of()
    async with contextlib.AsyncExitStack() as stack:
        sockets = _listen(node)
        for listener in sockets:
            stack.callback(listener.close)
        store = await asyncio.to_thread(Store.open, config.database, asyncio.get_running_loop())
        stack.push_async_callback(store.close)
        port = sockets[0].getsockname()[1]
        record = await store.register(
            node.name,
            http=str(node.http_address._replace(port=port)),
            url=node.url_on(port),
            mesh="",
        )
        try:
            started = await _make(config, node, store, record, secret, stack)
            await started.start(sockets)
        except BaseException:
            with contextlib.suppress(StoreUnavailable):
                await store.leave(record.number, record.incarnation)
            raise
        try:
            yield started
        finally:
            await started.stop()


async def _make(
    config: Config,
    node: Node,
    store: Store,
    record: NodeRecord,
    secret: bytes | None,
    stack: contextlib.AsyncExitStack,
) -> RunningNode:
    """Put a node together whose life is written down already."""
    bus = _make_bus(config, node, Codec(config.cluster, record.number, record.incarnation))
    stack.callback(bus.close)
    if bus.endpoint:
        await store.announce(record.number, http=record.http, mesh=bus.endpoint)
    secret = secret or await store.cluster_secret()
    return RunningNode(config, record, store, bus, secret, await store.database_epoch())


class RunningNode:
    """The parts of one node and how they talk; the sink of its bus."""

    def __init__(
        self,
        config: Config,
        record: NodeRecord,
        store: Store,
        bus: Bus,
        secret: bytes,
        database_epoch: str,
    ) -> None:
        loop = asyncio.get_running_loop()
        rng = random.Random()  # noqa: S311 - spreads load and timers, guards nothing
        self.record = record
        self._rng = rng
        self._config = config
        self._store = store
        self._bus = bus
        self._sockets = Sockets()
        self.failed = asyncio.Event()  # something that is to run for ever has ended
        self._loops = Tasks(self.failed.set)
        self._tasks = Tasks()
        self._delivery = Delivery(
            store,
            bus,
            config.support.account,
            now=loop.time,
            superseded=self._on_superseded,
            jitter_s=self._read_jitter_s,
        )
        self._gossip = Gossip(
            bus,
            record.number,
            record.incarnation,
            rng=rng,
            changed=self._tell_agents,
            news=self._on_news,
            name_of=self._name_of,
        )
        self._recovery = Recovery(
            store,
            self._delivery.following,
            now=loop.time,
            deaf=lambda: self._gossip.members.deaf,
            rng=rng,
        )
        self._peers = Peers(
            store,
            bus,
            self._gossip.members,
            record,
            [n.name for n in config.nodes],
            rng=rng,
            state=lambda: self._gossip.state,
            now=loop.time,
        )
        self._joining = Joining(bus, record.incarnation, self._peers.expected, self._gossip.in_step)
        self._takeovers = Takeovers(
            store,
            bus,
            record,
            config.sessions,
            secret,
            name_of=self._peers.name_of,
            wall_ms=_wall_ms,
        )
        self._resumes = Resumes(store, config.support.account)
        self._clock = StoreClock(store, _wall_ms)
        self._services = self._make_services(database_epoch)
        self._server = HTTPServer(
            make_app(self._services, self._sockets),
            max_body_size=MAX_BODY_BYTES,
            max_header_size=MAX_HEADER_BYTES,
            idle_connection_timeout=IDLE_CONNECTION_S,
        )

    @property
    def ready_line(self) -> str:
        """What is printed when the node can be used."""
        names = ", ".join(forwarder.name for forwarder in self._config.forwarders)
        mesh = self._bus.endpoint or f"through {names}"
        return f"{self.record.name} ready: {self.record.url} mesh {mesh}"

    async def start(self, sockets: list[socket.socket]) -> None:
        """Hear the peers, and take requests that only read."""
        self._bus.start(self)
        await self._peers.refresh()
        await self._clock.measure()
        self._gossip.start()
        self._loops.spawn(self._peers.keep_fresh())
        self._loops.spawn(self._clock.keep_measuring())
        self._loops.spawn(self._sockets.keep_pinging())
        self._loops.spawn(self._takeovers.keep_auditing())
        self._loops.spawn(self._recovery.keep_auditing())
        self._server.add_sockets(sockets)

    async def join(self) -> None:
        """Wait until links work both ways, for a few seconds at most, then take sessions."""
        if missing := await self._joining.finish():
            names = ", ".join(sorted(map(self._peers.name_of, missing)))
            log.warning("no answer from %s; ready all the same", names)
        self._gossip.opened()

    async def stop(self) -> None:
        """Finish what was begun, then fall silent."""
        self._server.stop()
        self._gossip.drain()
        await self._sockets.drain(self._peers.elsewhere, self._rng)
        await self._loops.cancel()
        await self._tasks.cancel()
        await self._takeovers.stop()
        await self._resumes.close_all()
        await self._delivery.following.close()
        await self._peers.leave()
        await self._store.close()
        alone = self._peers.elsewhere() is None
        await self._sockets.close_all(CloseCode.SERVICE_RESTART if alone else CloseCode.DRAINING)
        self._gossip.stop()
        await self._server.close_all_connections()

    # What the bus carries.

    def on_chat(self, header: Header, chat: Chat) -> None:
        """Deliver what a peer published."""
        self._recovery.on_frame(header.node, header.incarnation, header.oseq)
        self._delivery.on_chat(chat)

    def on_control(self, header: Header, control: Control) -> None:
        """Take a peer's news."""
        if isinstance(control, Takeover):
            self._takeovers.on_takeover(header, control)
        elif isinstance(control, Probe) and not self._peers.knows(header):
            self._peers.refresh_soon()  # it asks again; who is answered is known by name and url
        else:
            if isinstance(control, Beat):
                self._recovery.on_told(header.node, header.incarnation, control.chat_oseq)
            self._joining.on_control(header, control)
            self._gossip.on_control(header, control)

    def on_link(self, node: int, *, up: bool, refused: bool = False) -> None:
        """Note what became of the link from a peer."""
        self._gossip.on_link(node, up=up, refused=refused)
        self._recovery.audit_soon()

    def on_knock(self) -> None:
        """Look for a node that is new."""
        self._peers.refresh_soon()

    def on_forwarders(self, *, up: bool) -> None:
        """Note what became of the links to forwarders."""
        self._gossip.on_forwarders(up=up)
        self._recovery.audit_soon()

    # What the parts tell each other.

    def _tell_agents(self, change: Change) -> None:
        agents = list(self._delivery.sessions.agents)
        if agents:
            key = Key.OPEN if change.opened else Key.CLOSE
            self._tasks.spawn(tell_presence(self._services, agents, key, change))

    def _on_superseded(self) -> None:
        self._takeovers.audit_soon()

    def _name_of(self, number: int) -> str:
        return self._peers.name_of(number)

    def _on_news(self, turn: Turn, node: int) -> None:
        self._recovery.audit_soon()
        if turn in (Turn.CAME, Turn.LEFT):
            self._peers.refresh_soon()
        if turn in (Turn.LEFT, Turn.FORGOTTEN):
            self._recovery.forget(node)

    def _read_jitter_s(self) -> float:
        """Draw how long to put a read off: the more nodes miss the same, the longer."""
        longest_s = min(MOST_READ_JITTER_S, READ_JITTER_A_NODE_S * len(self._gossip.members))
        return self._rng.uniform(0, longest_s)

    def _readiness(self) -> dict[str, str | None]:
        missing = sorted(map(self._peers.name_of, self._joining.missing()))
        starts = f"it starts; no answer yet from {', '.join(missing) or 'anybody'}"
        state = self._gossip.state
        problem = None if state is State.UP else starts if state is State.JOINING else "it stops"
        return {"node": problem}

    def _make_services(self, database_epoch: str) -> Services:
        collector = NodeCollector(
            self._bus.counts,
            self._store.counts,
            self._delivery,
            self._gossip,
            self._sockets,
            self._recovery,
            self._resumes,
        )
        return Services(
            desk=self._config.support.account,
            messages=self._store,
            directory=self._store,
            delivery=self._delivery,
            resumes=self._resumes,
            gossip=self._gossip,
            peers=self._peers,
            takeovers=self._takeovers,
            origins=Origins(self._peers.all_urls, self._config.allowed_origins),
            registry=make_registry(
                collector, self._delivery.seconds, self._store.counts.commit_seconds
            ),
            readiness=self._readiness,
            clock=self._clock,
            database_epoch=database_epoch,
            database=self._config.database,
        )


def _listen(node: Node) -> list[socket.socket]:
    address = node.http_address
    try:
        return bind_sockets(address.port, address.host, backlog=1024)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartError(f"{node.name}: cannot listen on {node.http}: {reason}") from None


def _make_bus(config: Config, node: Node, codec: Codec) -> Bus:
    keys = Keys(config.mesh.keys)
    if config.mesh.topology == "direct":
        return DirectBus(codec, node.mesh, keys)
    return ForwardedBus(codec, [(part.xsub, part.xpub) for part in config.forwarders], keys)


def _loop_factory() -> Any:
    """Use uvloop where it is installed: it saves a fifth of the time of small messages."""
    return None if uvloop is None else uvloop.new_event_loop


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
