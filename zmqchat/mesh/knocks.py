"""Who connects to a bound socket: that somebody did, not who it is."""

from __future__ import annotations

import functools
from collections.abc import Callable

import zmq

from zmqchat.mesh.drain import Drain
from zmqchat.mesh.links import close_monitor, open_monitor


class Knocks:
    """Calls ``knocked`` for every connection to a socket that has shaken hands."""

    def __init__(self, socket: zmq.SyncSocket, knocked: Callable[[], None]) -> None:
        self._socket = socket
        self._monitor = open_monitor(socket, zmq.Event.HANDSHAKE_SUCCEEDED)
        self._events = Drain(
            self._monitor,
            functools.partial(self._monitor.recv_multipart, zmq.DONTWAIT),
            lambda _event: knocked(),
        )

    def start(self) -> None:
        """Begin to watch, in the running loop."""
        self._events.start()

    def close(self) -> None:
        """Stop watching; call this before the socket is closed."""
        self._events.stop()
        close_monitor(self._socket, self._monitor)
