"""Simulated time, and the nodes in it.

Events are handled in the order of their time, then in the order they were made; nothing depends
on hashes or on a real clock. Every node runs `zmqchat.core.gossip.Gossip` as a real one does.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from scripts.simulation.network import HIGH_WATER_MARK, RECONNECT_S, Network, Pipe, Source
from zmqchat.core.gossip import Effect, Gossip, News, Publish, Tell, interval_of
from zmqchat.core.members import RELAYS
from zmqchat.wire.mesh import Beat, Chat, Codec, Control, Header, SessionEntry, State

LOST_LINK_S = 0.0015  # until the other end of a killed process is told
REFUSED_S = 0.25
HEARTBEAT_TIMEOUT_S = 1.5  # until the other end of a stopped process is told
TIMER_LATE_S = 0.000001
FIRST_INCARNATION = 1_790_000_000_000  # as large as real ones, which are milliseconds
EVENTS_SHOWN = 40
FRAME = tuple[Header, Control, bytes]


class SimulationError(AssertionError):
    """Something happened that must never be; the text names the seed and the last events."""


class Host:
    """One simulated process."""

    __slots__ = (
        "backlog",
        "clock_ahead_s",
        "codec",
        "engine",
        "listens",
        "number",
        "paused_at",
        "running",
        "sessions",
        "started_at",
        "wake_at",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.running = False
        self.listens = False  # runs, and is not paused
        self.paused_at = -math.inf
        self.started_at = 0.0
        self.clock_ahead_s = 0.0
        self.wake_at = math.inf
        self.backlog: deque[FRAME] = deque()
        self.sessions: dict[int, str] = {}
        self.engine: Gossip
        self.codec: Codec


class Watcher:
    """What looks on; see `checks` and `measure`."""

    def on_news(self, host: Host, news: News) -> None:
        """A node's life changed in a host's eyes."""

    def on_tell(self, host: Host, tell: Tell) -> None:
        """A host told its agents of a change."""

    def on_log(self, host: Host, node: int) -> None:
        """A host may have applied something of a node's log."""

    def on_own(self, host: Host, session: int, user: str, *, opened: bool) -> None:
        """A session opened or closed on a host."""

    def on_start(self, host: Host) -> None:
        """A life of a host began."""


class World:
    """A cluster of ``nodes`` (numbers from 1), started and settled unless ``cold``.

    ``loss`` is the share of frames lost on every pipe; ``decode_each`` decodes every frame at every
    receiver instead of once. Raises `SimulationError` from any step.
    """

    def __init__(
        self,
        nodes: int,
        seed: int,
        *,
        forwarders: Iterable[str] = (),
        loss: float = 0.0,
        cold: bool = False,
        decode_each: bool = False,
        relays: int = RELAYS,
        guards_pauses: bool = True,
    ) -> None:
        self.seed = seed
        self.now = 0.0
        self.loss = loss
        self.rng = random.Random(seed)
        self.network = Network(forwarders, random.Random(seed + 1))
        self.hosts: dict[int, Host] = {}
        self.watchers: list[Watcher] = []
        self.last_events: deque[tuple[float, str]] = deque(maxlen=EVENTS_SHOWN)
        self.frames = 0  # received by all nodes together
        self.bytes = 0
        self._decode_each = decode_each
        self._relays = relays
        self._guards_pauses = guards_pauses
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._trace = hashlib.blake2b(digest_size=16)
        self._settled = 0 if cold else nodes
        self._next_session = itertools.count(1)
        for number in range(1, nodes + 1):
            self.hosts[number] = Host(number)
            self.network.join(number)
        for host in self.hosts.values():
            self._begin(host, incarnation=FIRST_INCARNATION, settled=self._settled)
        if not cold:
            self._acquaint()

    def _acquaint(self) -> None:
        """Let everybody have heard everybody once."""
        beat = Beat(int(interval_of(len(self.hosts)) * 1000), 0, 0, 0, State.UP, 0)
        headers = [
            Header(number, host.engine.incarnation, 0) for number, host in self.hosts.items()
        ]
        for host in self.hosts.values():
            members = host.engine.members
            for header in headers:
                if header.node != host.number:
                    members.on_beat(header.node, header.incarnation, beat, self.now)
            members.events.clear()  # it is no news to anybody
            self._schedule_wake(host)

    @property
    def trace(self) -> str:
        """A hash of everything that happened so far."""
        return self._trace.hexdigest()

    # Time.

    def at(self, moment: float, call: Callable[..., None], *arguments: Any) -> None:
        """Do something at a moment."""
        heapq.heappush(self._queue, (moment, next(self._order), call, arguments))

    def after(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        """Do something later."""
        self.at(self.now + seconds, call, *arguments)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.run_to(self.now + seconds)

    def run_to(self, end: float) -> None:
        """Let time pass until a moment."""
        queue, pop = self._queue, heapq.heappop
        while queue and queue[0][0] <= end:
            self.now, _, call, arguments = pop(queue)
            call(*arguments)
        self.now = end

    def run_until(
        self, done: Callable[[], bool], within: float, what: str, step: float = 0.05
    ) -> float:
        """Let time pass until something holds; return how long that took."""
        start = self.now
        while not done():
            if self.now - start > within:
                self.fail(f"not within {within} s: {what}")
            self.run(step)
        return self.now - start

    def fail(self, what: str) -> None:
        """Give up, telling how to see it again."""
        events = "\n".join(f"  {at:10.4f} {text}" for at, text in self.last_events)
        raise SimulationError(f"{what}\nseed {self.seed}, {self.now:.4f} s, last events:\n{events}")

    def note(self, text: str) -> None:
        """Remember an event, for the trace and for whoever reads a failure."""
        self.last_events.append((self.now, text))
        self._trace.update(f"{self.now:.6f} {text}\n".encode())

    # Processes.

    def start(self, number: int) -> None:
        """Start a node, new or dead, as a new life."""
        host = self.hosts.get(number)
        if host is None:
            host = self.hosts[number] = Host(number)
            self.network.join(number)
            incarnation = FIRST_INCARNATION
        else:
            incarnation = host.engine.incarnation + 1
        self.note(f"start {number}")
        self._begin(host, incarnation, settled=0)
        for other in self._others(number):
            self._reconnect(other.number, number)
            self._reconnect(number, other.number)
        for name in self.network.forwarders:
            self._reconnect_forwarder(host, name)
        self._schedule_wake(host)

    def _begin(self, host: Host, incarnation: int, settled: int) -> None:
        host.running = host.listens = True
        host.started_at = self.now
        host.sessions = {}
        host.backlog.clear()
        host.codec = Codec("simulation", host.number, incarnation)
        host.engine = Gossip(
            host.number,
            incarnation,
            random.Random(self.seed * 1_000_003 + host.number * 1009 + incarnation),
            self.clock(host),
            settled=settled,
            relays=self._relays,
            guards_pauses=self._guards_pauses,
        )
        for watcher in self.watchers:
            watcher.on_start(host)

    def kill(self, number: int) -> None:
        """End a process without a word; its ports are closed by the system."""
        self.note(f"kill {number}")
        host = self.hosts[number]
        self._end(host)
        for other in self._others(number):
            self._lose_link(number, other.number, LOST_LINK_S + self.network.delay(other.number))
            if self.network.direct:
                self.after(REFUSED_S, self._refuse, other, number, host.engine.incarnation)

    def leave(self, number: int) -> None:
        """End a process in good order."""
        self.note(f"leave {number}")
        host = self.hosts[number]
        self._apply(host, host.engine.leave(self.clock(host)))
        self._end(host)
        for other in self._others(number):
            self._lose_link(number, other.number, 0.2)

    def _end(self, host: Host) -> None:
        host.running = host.listens = False
        host.wake_at = math.inf
        for session, user in list(host.sessions.items()):
            del host.sessions[session]
            for watcher in self.watchers:
                watcher.on_own(host, session, user, opened=False)

    def pause(self, number: int) -> None:
        """Stop a process (SIGSTOP); what it is sent waits, as far as there is room."""
        self.note(f"pause {number}")
        host = self.hosts[number]
        host.listens = False
        host.paused_at = self.now
        if self.network.direct:
            for other in self._others(number):
                self.after(HEARTBEAT_TIMEOUT_S, self._time_out, host, other, self.now)

    def _time_out(self, host: Host, other: Host, paused_at: float) -> None:
        """Tell another node that a paused one does not answer its heartbeats."""
        if host.running and not host.listens and host.paused_at == paused_at:
            self._lose_link(host.number, other.number, 0.0)

    def resume(self, number: int) -> None:
        """Let a stopped process go on: first with what waits."""
        self.note(f"resume {number}")
        host = self.hosts[number]
        paused_s = self.now - host.paused_at
        host.listens = True
        if paused_s > HEARTBEAT_TIMEOUT_S:
            # The others gave up on it, and it finds its own links closed.
            for other in self._others(number):
                self._lose_link(other.number, number, 0.0)
                self._reconnect(other.number, number)
                self._reconnect(number, other.number)
            for name in self.network.forwarders:
                self._lose_forwarder(host, name)
                self._reconnect_forwarder(host, name)
        backlog = list(host.backlog)
        host.backlog.clear()
        for frame in backlog:
            self._take(host, *frame)
        self._schedule_wake(host)

    def jump_clock(self, number: int, seconds: float) -> None:
        """Let a node's clock be ahead of the others' from now on."""
        self.note(f"clock of {number} jumps by {seconds} s")
        host = self.hosts[number]
        host.clock_ahead_s += seconds
        self._schedule_wake(host)

    def clock(self, host: Host) -> float:
        """What time it is for a node."""
        return self.now + host.clock_ahead_s

    def _others(self, number: int) -> list[Host]:
        return [host for host in self.hosts.values() if host.number != number and host.running]

    # Sessions.

    def open(self, number: int, user: str) -> int:
        """Open a session; return its number."""
        host, session = self.hosts[number], next(self._next_session)
        self.note(f"{user} opens {session} on {number}")
        host.sessions[session] = user
        for watcher in self.watchers:
            watcher.on_own(host, session, user, opened=True)
        entry = SessionEntry(session, user, agent=False)
        self._apply(host, host.engine.open(entry, self.clock(host)))
        self._schedule_wake(host)
        return session

    def close(self, number: int, session: int) -> None:
        """Close a session."""
        host = self.hosts[number]
        user = host.sessions.pop(session)
        self.note(f"{user} closes {session} on {number}")
        for watcher in self.watchers:
            watcher.on_own(host, session, user, opened=False)
        self._apply(host, host.engine.close(session, self.clock(host)))
        self._schedule_wake(host)

    # Links.

    def cut(self, source: Source, number: int, *, silent: bool = False) -> None:
        """Break the way from a source to a node; it is told unless the link dies silently."""
        self.note(f"cut {source} -> {number}{' silently' if silent else ''}")
        self.network.pipe(source, number).carries = False
        self.network.changed()
        if not silent:
            self._tell_link(source, number, up=False)

    def heal(self, source: Source, number: int) -> None:
        """Let a broken way be connected again, which takes a moment."""
        self.note(f"heal {source} -> {number}")
        self._reconnect(source, number)

    def stall(self, source: Source, number: int, seconds: float) -> None:
        """Let a node not read a pipe for a while: it fills up, then loses what comes last."""
        self.note(f"stall {source} -> {number}")
        pipe = self.network.pipe(source, number)
        pipe.queue = pipe.queue if pipe.queue is not None else deque()
        self.network.changed()
        self.after(seconds, self._release, pipe, number)

    def stop_forwarder(self, name: str) -> None:
        """Kill a forwarder; every node sees its links break."""
        self.note(f"stop {name}")
        self.network.forwarders[name] = False
        for host in list(self.hosts.values()):
            if host.running:
                self._lose_forwarder(host, name)

    def start_forwarder(self, name: str) -> None:
        """Start it again; the nodes connect, each in its time."""
        self.note(f"start {name}")
        self.network.forwarders[name] = True
        for host in list(self.hosts.values()):
            if host.running:
                self._reconnect_forwarder(host, name)

    def _lose_link(self, source: int, number: int, after_s: float) -> None:
        if self.network.direct:
            self.network.pipe(source, number).carries = False
            self.network.changed()
            self.after(after_s, self._tell_link, source, number, False)

    def _reconnect(self, source: Source, number: int) -> None:
        if not self.network.direct and isinstance(source, int):
            return
        pipe = self.network.pipe(source, number)
        pipe.carries = False
        self.network.changed()
        self.after(self.rng.uniform(*RECONNECT_S), self._connected, source, number, pipe)

    def _connected(self, source: Source, number: int, pipe: Pipe) -> None:
        ends = [self.hosts[number], *([self.hosts[source]] if isinstance(source, int) else [])]
        if self.network.find(source, number) is not pipe or not all(end.running for end in ends):
            return
        pipe.carries = True
        self.network.changed()
        self._tell_link(source, number, up=True)

    def _lose_forwarder(self, host: Host, name: str) -> None:
        self.network.pipe(name, host.number).carries = False
        self.network.mute(host.number, name, muted=True)
        self.network.changed()
        self.after(LOST_LINK_S, self._tell_link, name, host.number, False)

    def _reconnect_forwarder(self, host: Host, name: str) -> None:
        if self.network.forwarders[name]:
            self.network.pipe(name, host.number).carries = False
            self.network.mute(host.number, name, muted=True)
            self.network.changed()
            self.after(self.rng.uniform(*RECONNECT_S), self._connected_forwarder, host, name)

    def _connected_forwarder(self, host: Host, name: str) -> None:
        if self.network.forwarders[name] and host.running:
            self.network.pipe(name, host.number).carries = True
            self.network.mute(host.number, name, muted=False)
            self.network.changed()
            self._tell_link(name, host.number, up=True)

    def _refuse(self, host: Host, number: int, incarnation: int) -> None:
        gone = self.hosts[number]
        if not gone.running and gone.engine.incarnation == incarnation and host.listens:
            self._call(host, host.engine.on_link(number, self.clock(host), up=False, refused=True))

    def _tell_link(self, source: Source, number: int, up: bool) -> None:
        host = self.hosts[number]
        if not host.listens:
            return
        self.note(f"{number} sees its link to {source} {'up' if up else 'down'}")
        if isinstance(source, int):
            self._call(host, host.engine.on_link(source, self.clock(host), up=up))
            return
        any_up = any(
            runs
            and not self.network.is_mute(number, name)
            and self.network.find(name, number) is None
            for name, runs in self.network.forwarders.items()
        )
        self._call(host, host.engine.on_forwarders(self.clock(host), up=any_up))

    # Frames.

    def _publish(self, host: Host, publish: Publish) -> None:
        control = publish.control
        frame = host.codec.encode_control(control, publish.to_node)
        self._trace.update(b"%.6f %d" % (self.now, host.number))
        self._trace.update(frame)
        header = Header(host.number, host.codec.incarnation, host.codec.control_oseq)
        for source in self.network.sources(host.number):
            if publish.to_node is not None:
                self._send_one(source, publish.to_node, (header, control, frame))
                continue
            for delay, numbers in self.network.routes(source):
                if numbers:
                    self.at(self.now + delay, self._arrive, numbers, header, control, frame)
            for number, pipe in self.network.troubled(source):
                self._send_troubled(pipe, number, (header, control, frame))

    def _send_one(self, source: Source, number: int, frame: FRAME) -> None:
        if number not in self.hosts:
            return
        pipe = self.network.find(source, number)
        if pipe is None:
            self.at(self.now + self.network.delay(number), self._arrive, (number,), *frame)
        else:
            self._send_troubled(pipe, number, frame)

    def _send_troubled(self, pipe: Pipe, number: int, frame: FRAME) -> None:
        if not pipe.carries or (pipe.loss and self.rng.random() < pipe.loss):
            return
        if pipe.queue is None:
            self.at(self.now + self.network.delay(number), self._arrive, (number,), *frame)
        elif len(pipe.queue) < HIGH_WATER_MARK:
            pipe.queue.append(frame)

    def _release(self, pipe: Pipe, number: int) -> None:
        queue, pipe.queue = pipe.queue, None
        self.network.changed()
        for frame in queue or ():
            self.at(self.now + self.network.delay(number), self._arrive, (number,), *frame)

    def _arrive(
        self, numbers: Sequence[int], header: Header, control: Control, frame: bytes
    ) -> None:
        hosts, loss, random_ = self.hosts, self.loss, self.rng.random
        origin, size, now = header.node, len(frame), self.now
        plain = type(control) is Beat and not self._decode_each
        received = 0
        for number in numbers:
            if loss and random_() < loss:
                continue
            host = hosts[number]
            if not host.listens:
                if host.running and len(host.backlog) < HIGH_WATER_MARK:
                    host.backlog.append((header, control, frame))
                continue
            if number == origin:
                continue
            received += 1
            if not plain:
                self._take(host, header, control, frame)
                continue
            engine = host.engine
            effects = engine.on_frame(header, control, now + host.clock_ahead_s)
            if effects:
                self._apply(host, effects)
            if engine.next_wakeup - host.clock_ahead_s < host.wake_at:
                self._schedule_wake(host)
        self.frames += received
        self.bytes += received * size

    def _take(self, host: Host, header: Header, control: Control, frame: bytes) -> None:
        if header.node == host.number:
            return
        if self._decode_each:
            decoded = host.codec.decode(frame)
            if decoded is None or isinstance(decoded[1], Chat):
                self.fail(f"a frame came out as {decoded}")
                return
            header, control = decoded[0], decoded[1]
        self._call(host, host.engine.on_frame(header, control, self.clock(host)))
        if type(control) is not Beat:
            for watcher in self.watchers:
                watcher.on_log(host, header.node)

    def _call(self, host: Host, effects: Sequence[Effect]) -> None:
        self._apply(host, effects)
        self._schedule_wake(host)

    def _apply(self, host: Host, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if type(effect) is Publish:
                self._publish(host, effect)
            elif type(effect) is News:
                self.note(f"{host.number}: {effect.node} {effect.turn.value}")
                for watcher in self.watchers:
                    watcher.on_news(host, effect)
            elif type(effect) is Tell:
                self.note(f"{host.number} tells {effect.change}")
                for watcher in self.watchers:
                    watcher.on_tell(host, effect)

    def _schedule_wake(self, host: Host) -> None:
        # A timer is never early; by sums of floats, without this, it might be for ever.
        wake_at = max(self.now, host.engine.next_wakeup - host.clock_ahead_s + TIMER_LATE_S)
        if wake_at < host.wake_at and host.listens:
            host.wake_at = wake_at
            self.at(wake_at, self._wake, host, wake_at)

    def _wake(self, host: Host, wake_at: float) -> None:
        if host.wake_at != wake_at:
            return
        host.wake_at = math.inf
        if not host.listens:
            return
        engine, clock = host.engine, self.clock(host)
        if engine.next_wakeup <= clock:
            self._apply(host, engine.on_tick(clock))
        self._schedule_wake(host)
