"""The connections of one socket: which there are, and those that libzmq gave up on made again.

libzmq connects again by itself after a loss, but not after what it takes for a mistake in the
protocol: then the connection is gone for good, without a word, and a further connect() to the
same endpoint does nothing. What its monitor tells (4.3.5, tried out):

====================================  ==========================================================
nobody listens                        CONNECT_DELAYED, CLOSED, CONNECT_RETRIED, and again
connected                             CONNECT_DELAYED, CONNECTED, HANDSHAKE_SUCCEEDED
peer gone, or deaf to heartbeats      DISCONNECTED, CONNECT_RETRIED
peer accepts and says nothing,        HANDSHAKE_FAILED_NO_DETAIL, DISCONNECTED, CONNECT_RETRIED
or closes during the handshake
peer speaks no ZMTP, or wants         HANDSHAKE_FAILED_PROTOCOL, DISCONNECTED, **silence**
another security mechanism
peer's socket is of the wrong type    DISCONNECTED, **silence**
a frame exceeds MAXMSGSIZE            DISCONNECTED, **silence**
we disconnected                       nothing
====================================  ==========================================================

CONNECT_RETRIED comes in the same breath as the loss. So a DISCONNECTED that is followed by
neither CONNECT_RETRIED nor HANDSHAKE_SUCCEEDED for `GIVEN_UP_AFTER_S` is a link that libzmq gave
up on: it is counted as broken, disconnected and connected again, and counted as repaired once a
handshake succeeds. A link that is connected but silent is left alone: heartbeats tell a dead
connection, and whether the node behind it lives is not for the bus to judge.

A CONNECT_RETRIED with no DISCONNECTED before it is a connect() that failed. On a link that was up
once that means refused: a frozen process does not refuse, since its kernel accepts for it, and
what else can fail (a host that is gone) fails later than anybody waits for it.

A DISCONNECTED of a link that is not up is a handshake that failed. Where peers have keys the other
end may serve with another one of the cluster's: `ServerKeys` tells when to try that.
"""

from __future__ import annotations

import asyncio
import enum
import errno
import functools
import itertools
import logging
import struct
from collections.abc import Callable, Iterable

import zmq

from zmqchat.mesh.bus import BusCounts
from zmqchat.mesh.drain import Drain
from zmqchat.mesh.keys import NO_KEYS, Keys, ServerKeys
from zmqchat.mesh.reports import Reports

log = logging.getLogger(__name__)

GIVEN_UP_AFTER_S = 0.5

_EVENT = struct.Struct("=HI")
_WATCHED = zmq.Event.DISCONNECTED | zmq.Event.CONNECT_RETRIED | zmq.Event.HANDSHAKE_SUCCEEDED
_monitor_numbers = itertools.count(1)


class Link(enum.Enum):
    """How a connection is."""

    UP = "up"
    LOST = "lost"
    REFUSED = "refused"  # it was lost, and nobody listens there now


# How a connection may be next; None is one that was never up.
_FOLLOWING: dict[Link | None, frozenset[Link]] = {
    None: frozenset({Link.UP}),
    Link.UP: frozenset({Link.LOST}),
    Link.LOST: frozenset({Link.REFUSED, Link.UP}),
    Link.REFUSED: frozenset({Link.UP}),
}


class Links:
    """Connects one socket to endpoints and keeps it connected.

    ``touched`` is called after every call on the socket, so that it is read again. ``changed`` is
    called with every change of a link that was up once, beginning with that.
    """

    def __init__(
        self,
        socket: zmq.SyncSocket,
        counts: BusCounts,
        touched: Callable[[], None],
        changed: Callable[[str, Link], None],
        keys: Keys = NO_KEYS,
    ) -> None:
        self.socket = socket
        self._counts = counts
        self._touched = touched
        self._changed = changed
        self._server_keys = ServerKeys(keys)
        self._reports = Reports(log)
        self._monitor = open_monitor(socket, _WATCHED)
        self._events = Drain(
            self._monitor,
            functools.partial(self._monitor.recv_multipart, zmq.DONTWAIT),
            self._on_event,
        )
        self._followed: set[str] = set()
        self._known: dict[str, Link] = {}  # of those that were up once
        self._doubtful: dict[str, asyncio.TimerHandle] = {}
        self._broken: set[str] = set()  # given up by libzmq, and not connected again so far
        self._names: dict[str, str] = {}  # endpoint as libzmq tells it -> as it was asked for
        self._last_lost: str | None = None

    def start(self) -> None:
        """Begin to watch, in the running loop."""
        self._events.start()

    def follow(self, endpoints: Iterable[str]) -> None:
        """Be connected to exactly these endpoints."""
        wanted = set(endpoints)
        for endpoint in self._followed - wanted:
            self._forget(endpoint)
            self._disconnect(endpoint)
        for endpoint in wanted - self._followed:
            self._connect(endpoint)
        self._followed = wanted
        self._touched()

    def close(self) -> None:
        """Stop watching; call this before the socket is closed."""
        for timer in self._doubtful.values():
            timer.cancel()
        self._events.stop()
        close_monitor(self.socket, self._monitor)

    def _connect(self, endpoint: str) -> None:
        self._server_keys.prepare(self.socket, endpoint)
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            log.warning("cannot connect to %r: %s", endpoint, zmq.strerror(error.errno or 0))

    def _disconnect(self, endpoint: str) -> None:
        try:
            self.socket.disconnect(endpoint)
        except zmq.ZMQError as error:
            # No such link: it could never be connected, or libzmq has dropped it already.
            if error.errno not in {errno.ENOENT, errno.EINVAL, errno.EPROTONOSUPPORT}:
                raise

    def _forget(self, endpoint: str) -> None:
        self._trust(endpoint)
        self._broken.discard(endpoint)
        self._known.pop(endpoint, None)
        self._server_keys.forget(endpoint)
        self._names = {told: asked for told, asked in self._names.items() if asked != endpoint}

    def _on_event(self, parts: list[bytes]) -> None:
        event, _ = _EVENT.unpack(parts[0])
        endpoint = self._endpoint_of(parts[1].decode())
        before, self._last_lost = self._last_lost, None
        if endpoint not in self._followed:
            return
        if event == zmq.Event.DISCONNECTED:
            self._last_lost = endpoint
            self._on_lost(endpoint)
            return
        self._trust(endpoint)
        if event == zmq.Event.HANDSHAKE_SUCCEEDED:
            self._on_up(endpoint)
        elif before != endpoint:
            self._note(endpoint, Link.REFUSED)

    def _on_lost(self, endpoint: str) -> None:
        if self._known.get(endpoint) is not Link.UP and self._server_keys.failed(endpoint):
            self._connect_anew(endpoint)
        else:
            self._doubt(endpoint)
        self._note(endpoint, Link.LOST)

    def _on_up(self, endpoint: str) -> None:
        self._server_keys.succeeded(endpoint)
        if endpoint in self._broken:
            self._broken.remove(endpoint)
            self._counts.repaired_links += 1
        self._note(endpoint, Link.UP)

    def _note(self, endpoint: str, link: Link) -> None:
        if link in _FOLLOWING[self._known.get(endpoint)]:
            self._known[endpoint] = link
            self._changed(endpoint, link)

    def _endpoint_of(self, told: str) -> str:
        """Find the link an event is about.

        A link that was asked for by a host's name is told of by its address after the first
        loss, beginning with the CONNECT_RETRIED that follows at once.
        """
        if told not in self._followed and told not in self._names and self._last_lost is not None:
            self._names[told] = self._last_lost
        return self._names.get(told, told)

    def _doubt(self, endpoint: str) -> None:
        self._trust(endpoint)
        loop = asyncio.get_running_loop()
        self._doubtful[endpoint] = loop.call_later(GIVEN_UP_AFTER_S, self._judge, endpoint)

    def _trust(self, endpoint: str) -> None:
        if (timer := self._doubtful.pop(endpoint, None)) is not None:
            timer.cancel()

    def _judge(self, endpoint: str) -> None:
        self._events.run()  # after a pause of the whole process, what clears the link waits here
        if self._doubtful.pop(endpoint, None) is None:
            return
        self._reports.warn(
            "link broke: the peer spoke no proper ZeroMQ; connecting again", endpoint
        )
        self._counts.broken_links += 1
        self._broken.add(endpoint)
        self._connect_anew(endpoint)

    def _connect_anew(self, endpoint: str) -> None:
        self._trust(endpoint)
        self._disconnect(endpoint)
        self._connect(endpoint)
        self._touched()


def open_monitor(socket: zmq.SyncSocket, watched: int) -> zmq.SyncSocket:
    """Open a socket that tells of these events of another; it is to be read by a `Drain`."""
    address = f"inproc://monitor-{next(_monitor_numbers)}"
    socket.monitor(address, watched)
    monitor: zmq.SyncSocket = socket.context.socket(zmq.PAIR)
    # Events past a limit would not be dropped but stop the thread that moves all frames.
    monitor.setsockopt(zmq.RCVHWM, 0)
    monitor.setsockopt(zmq.LINGER, 0)
    monitor.connect(address)
    return monitor


def close_monitor(socket: zmq.SyncSocket, monitor: zmq.SyncSocket) -> None:
    """Watch a socket no more; call this before the socket is closed."""
    # In this order. A monitor without a reader stops the thread that moves all frames.
    socket.monitor(None, 0)
    monitor.close()
