"""Reads a ZeroMQ socket from the event loop.

The descriptor of a ZeroMQ socket tells of changes, not of states: it becomes readable when
something happened, and any call on the socket (a connect, an option read or set) takes that
away whether or not frames are waiting. So:

- a socket is read until it says it is empty, never just once;
- whoever calls anything else on it asks for another reading with `Drain.schedule`.

A socket with much to give is left after `DRAIN_LIMIT` items, so that others get their turn, and
read on in the next round of the loop. It is never left unread for good: a subscriber that nobody
reads does not even repeat its subscriptions to a publisher that came back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

import zmq

from zmqchat.mesh.bus import DRAIN_LIMIT

T = TypeVar("T")


class Drain(Generic[T]):
    """Hands what a socket receives to ``take``, in the event loop.

    ``receive`` gets one item without waiting and raises `zmq.Again` if there is none.
    """

    def __init__(
        self, socket: zmq.SyncSocket, receive: Callable[[], T], take: Callable[[T], None]
    ) -> None:
        self._descriptor = socket.fileno()
        self._receive = receive
        self._take = take
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False

    def start(self) -> None:
        """Begin to read, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._on_readable)
        self.schedule()

    def schedule(self) -> None:
        """Read soon, whether or not the descriptor says so; needed after any call on the socket."""
        if self._loop is not None and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.run)

    def run(self) -> None:
        """Read now, at most `DRAIN_LIMIT` items; the rest is scheduled."""
        if self._loop is None:
            return
        empty = False
        try:
            empty = self._take_some()
        finally:  # even if an item was refused with an error, the others must not be stranded
            self._scheduled = False
            if not empty:
                self.schedule()

    def stop(self) -> None:
        """Read no more."""
        if self._loop is not None:
            self._loop.remove_reader(self._descriptor)
            self._loop = None

    def _on_readable(self) -> None:
        if not self._scheduled:
            self.run()

    def _take_some(self) -> bool:
        receive, take = self._receive, self._take
        for _ in range(DRAIN_LIMIT):
            try:
                item = receive()
            except zmq.Again:
                return True
            take(item)
        return False
