"""A forwarder: passes frames on from all publishers to all subscribers, and knows no chat.

Nodes publish to its XSUB and subscribe at its XPUB; subscriptions travel the other way, so that
a publisher sends only what somebody wants. What passes is not looked at: nodes count and drop
what they cannot read. Frames over MAXMSGSIZE end the connection of their sender.

The copying is libzmq's own proxy, in a thread of its own: it knows one way to stop, the end of
its context, and that waits until both sockets are closed.
"""

from __future__ import annotations

import queue
import signal
import threading

import zmq

from zmqchat.errors import StartError
from zmqchat.mesh.bus import BusCounts
from zmqchat.mesh.door import Door
from zmqchat.mesh.keys import NO_KEYS, Keys
from zmqchat.mesh.sockets import bind, open_socket


class Forwarder:
    """One XSUB and one XPUB: `bind`, `run` until `stop`. A forwarder runs once.

    ``xsub`` and ``xpub`` are ``tcp://host:port``; a port 0 takes a free one, and after `bind`
    the attributes tell the real endpoints. With keys, only nodes that have one of them can
    connect.
    """

    def __init__(self, xsub: str, xpub: str, keys: Keys = NO_KEYS) -> None:
        self.xsub = xsub
        self.xpub = xpub
        self.counts = BusCounts()
        self._keys = keys
        self._door: Door | None = None
        # Unlike an Event, this may be filled by a signal handler while its thread waits here.
        self._stops: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def bind(self) -> None:
        """Take both endpoints; raise `StartError`, and release all, if one cannot be had."""
        self._context: zmq.SyncContext = zmq.Context()
        self._inward = open_socket(self._context, zmq.XSUB)
        self._outward = open_socket(self._context, zmq.XPUB)
        if self._keys:
            ends = (self._inward, self._outward)
            self._door = Door(self._context, self._keys, self.counts, *ends)
        try:
            self.xsub = bind(self._inward, self.xsub)
            self.xpub = bind(self._outward, self.xpub)
        except StartError:
            self._close_door()
            self._context.destroy(linger=0)
            raise

    def run(self) -> None:
        """Forward frames until `stop`; what subscribers are owed then is sent within a second."""
        copying = threading.Thread(target=self._copy, name="forwarder")
        copying.start()
        failure = self._stops.get()
        self._close_door()
        self._context.term()
        copying.join()
        if failure is not None:
            raise failure

    def stop(self) -> None:
        """End `run`, now or as soon as it begins; for signal handlers and other threads."""
        self._stops.put(None)

    def _close_door(self) -> None:
        if self._door is not None:
            self._door.close()

    def _copy(self) -> None:
        # A process that goes on after a SIGSTOP hands a signal to whichever thread takes it
        # first. Taken here it would not wake the main thread, which alone runs handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            zmq.proxy(self._inward, self._outward)
        except zmq.ContextTerminated:
            pass
        except zmq.ZMQError as error:
            self._stops.put(error)
        finally:
            self._inward.close()
            self._outward.close()
