"""Who may connect to the sockets of a context: those who have a key of the cluster.

libzmq asks about each client that got through the handshake of CURVE, by ZAP (ZeroMQ RFC 27):
a request to ``inproc://zeromq.zap.01`` with the client's public key. The answer is 200 for a key
of the cluster and 300 for any other. Never 400: that would end the link of an honest peer for
good, while after 300 it tries again, and is let in once both have the same key. Whatever is no
proper request is not answered; the handshake then ends by its time limit, as after 300.

Who does not even know the server's key, or speaks without CURVE, fails before that, and only the
monitor of the socket tells. It knows the connection by its descriptor, of which this asks the
peer's address at once; when the connection was closed faster than that, nobody knows it any more.

All of it happens in a thread: an event loop that is busy, or a forwarder's main thread that
waits, does not keep anybody out. Refusals are counted, and told by `Reports`.
"""

from __future__ import annotations

import logging
import signal
import socket as sockets
import struct
import threading
from collections.abc import Callable

import zmq

from zmqchat.mesh.bus import NO_KEY, UNFINISHED, WRONG_KEY, BusCounts
from zmqchat.mesh.keys import ZAP_DOMAIN, Keys
from zmqchat.mesh.links import open_monitor
from zmqchat.mesh.reports import Reports

log = logging.getLogger(__name__)

ZAP_ENDPOINT = "inproc://zeromq.zap.01"

_WORDS = {
    NO_KEY: "connection refused: it came without a key of the mesh",
    WRONG_KEY: "connection refused: its key is none of this mesh's",
}

_ZAP_VERSION = b"1.0"
_ZAP_FIELDS = 8  # of a request, as a ROUTER gets it, before the credentials
_EVENT = struct.Struct("=HI")
_WATCHED = (
    zmq.Event.ACCEPTED
    | zmq.Event.DISCONNECTED
    | zmq.Event.HANDSHAKE_SUCCEEDED
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
)


class Door:
    """Guards sockets that are about to bind, until `close`; raise no error for what comes in.

    ``knocked`` is called, in the thread of the door, for everybody who was let in.
    """

    def __init__(
        self,
        context: zmq.SyncContext,
        keys: Keys,
        counts: BusCounts,
        *guarded: zmq.SyncSocket,
        knocked: Callable[[], None] = lambda: None,
    ) -> None:
        self._knocked = knocked
        self._known = keys.public
        self._counts = counts
        self._reports = Reports(log)
        self._zap: zmq.SyncSocket = context.socket(zmq.ROUTER)
        self._zap.bind(ZAP_ENDPOINT)
        stop = f"inproc://door-{id(self)}"
        self._stopped: zmq.SyncSocket = context.socket(zmq.PAIR)
        self._stopped.bind(stop)
        self._stop: zmq.SyncSocket = context.socket(zmq.PAIR)
        self._stop.connect(stop)
        self._watches = {}
        for socket in guarded:
            keys.serve(socket)
            self._watches[open_monitor(socket, _WATCHED)] = _Watch(socket)
        self._thread = threading.Thread(target=self._keep, name="door")
        self._thread.start()

    def close(self) -> None:
        """Let nobody in any more; who is in stays. Call this before the sockets are closed."""
        self._stop.send(b"")
        self._thread.join()
        for monitor, watch in self._watches.items():
            if not watch.socket.closed:
                watch.socket.monitor(None, 0)
            monitor.close()
        for socket in (self._zap, self._stop, self._stopped):
            socket.close(linger=0)

    def _keep(self) -> None:
        # Signals are for the main thread; see the forwarder's other thread.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        poller = zmq.Poller()
        for socket in (self._zap, self._stopped, *self._watches):
            poller.register(socket, zmq.POLLIN)
        while True:
            for socket, _ in poller.poll():
                if socket is self._stopped:
                    return
                parts = socket.recv_multipart()
                if socket is self._zap:
                    self._on_request(parts)
                else:
                    self._on_event(self._watches[socket], parts)

    # -- who got through the handshake ----------------------------------------------------------

    def _on_request(self, parts: list[bytes]) -> None:
        if len(parts) < _ZAP_FIELDS:
            return
        sender, empty, version, number, domain, address, _, mechanism, *credentials = parts
        if (empty, version, domain, mechanism) != (b"", _ZAP_VERSION, ZAP_DOMAIN, b"CURVE"):
            return
        known = len(credentials) == 1 and credentials[0] in self._known
        if not known:
            self._refuse(WRONG_KEY, address.decode(errors="replace"))
        status = (b"200", b"OK") if known else (b"300", b"unknown key")
        self._zap.send_multipart([sender, b"", _ZAP_VERSION, number, *status, b"", b""])

    # -- who did not ----------------------------------------------------------------------------

    def _on_event(self, watch: _Watch, parts: list[bytes]) -> None:
        event, value = _EVENT.unpack(parts[0])
        match event:
            case zmq.Event.ACCEPTED:
                watch.addresses[value] = _peer_address(value, parts[1].decode())
            case zmq.Event.HANDSHAKE_SUCCEEDED:
                self._knocked()
            case zmq.Event.HANDSHAKE_FAILED_NO_DETAIL:
                self._counts.refused[UNFINISHED] += 1
            case zmq.Event.HANDSHAKE_FAILED_PROTOCOL:
                watch.failed = (
                    NO_KEY if value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH else WRONG_KEY
                )
            case zmq.Event.DISCONNECTED:
                # It follows the failure at once: libzmq has one thread that serves connections.
                address = watch.addresses.pop(value, None) or f"unknown peer of {parts[1].decode()}"
                if watch.failed is not None:
                    self._refuse(watch.failed, address)
                    watch.failed = None

    def _refuse(self, reason: str, address: str) -> None:
        self._counts.refused[reason] += 1
        self._reports.warn(_WORDS[reason], address)


class _Watch:
    """What the events of one guarded socket have told so far."""

    def __init__(self, socket: zmq.SyncSocket) -> None:
        self.socket = socket
        self.addresses: dict[int, str | None] = {}  # of open connections, by their descriptors
        self.failed: str | None = None  # why the handshake failed that is about to be closed


def _peer_address(descriptor: int, endpoint: str) -> str | None:
    """Ask the system who is connected; None if the connection is closed already.

    The descriptor may stand for something else by now, unless it is one of this endpoint's port.
    """
    try:
        connection = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM, fileno=descriptor)
    except OSError:
        return None
    try:
        here, there = connection.getsockname(), connection.getpeername()
    except OSError:
        return None
    finally:
        connection.detach()  # it is libzmq's to close
    return str(there[0]) if str(here[1]) == endpoint.rpartition(":")[2] else None
