"""A few threads that read: each keeps a connection, so that nothing waits in the event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import peewee

from zmqchat.errors import StoreUnavailable
from zmqchat.store.dialect import Database

THREADS = 4

_Result = TypeVar("_Result")


class Readers:
    """Runs functions that read ``database``, at most `THREADS` at once, the others in turn.

    ``errors`` are those of the driver: peewee lets some of them through, as when rows are fetched.
    ``lost`` tells which of them mean that only this connection has ended.
    """

    def __init__(
        self,
        database: Database,
        errors: tuple[type[Exception], ...],
        lost: Callable[[Exception], bool],
    ) -> None:
        self.database = database
        self._lost = lost
        self._errors: tuple[type[Exception], ...] = (peewee.PeeweeException, *errors)
        self._pool = concurrent.futures.ThreadPoolExecutor(THREADS, "store-reader")
        self._connections: set[Any] = set()
        self._lock = threading.Lock()

    async def run(self, read: Callable[[], _Result]) -> _Result:
        """Run a function in one of the threads; raise `StoreUnavailable` for the database's."""
        try:
            running = asyncio.get_running_loop().run_in_executor(self._pool, self._run, read)
        except RuntimeError:  # the pool is shut down
            raise StoreUnavailable("the store is closed") from None
        try:
            return await running
        except asyncio.CancelledError:
            if running.cancelled() and not _is_cancelled(asyncio.current_task()):
                raise StoreUnavailable("the store is closed") from None
            raise

    def _run(self, read: Callable[[], _Result]) -> _Result:
        try:
            return self._read_once_more(read)
        except self._errors as error:
            self._disconnect()
            raise StoreUnavailable(f"the database does not answer: {error}") from error

    def _read_once_more(self, read: Callable[[], _Result]) -> _Result:
        """Read, and if an older connection turns out to have ended meanwhile, on a new one."""
        fresh = self._connect()
        try:
            return read()
        except self._errors as error:
            if fresh or not self._lost(error):
                raise
        self._disconnect()
        self._connect()
        return read()

    def _connect(self) -> bool:
        """Have a connection in this thread; tell whether it is a new one."""
        fresh: bool = self.database.connect(reuse_if_open=True)
        if fresh:
            self._remember()
        return fresh

    def _remember(self) -> None:
        """Keep this thread's connection for `close`, which happens in another thread."""
        connection = self.database.connection()
        with self._lock:
            self._connections.add(connection)

    def _disconnect(self) -> None:
        """Close this thread's connection: the next read tries another."""
        if not self.database.is_closed():
            connection = self.database.connection()
            with self._lock:
                self._connections.discard(connection)
        with contextlib.suppress(*self._errors):
            self.database.close()

    def close(self) -> None:
        """Wait for the reads that run, drop the others, and close every connection."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for connection in self._connections:
            connection.close()
        self._connections.clear()


def _is_cancelled(task: asyncio.Task[Any] | None) -> bool:
    """Whether it is the task that was cancelled, and not what it waits for."""
    return task is not None and task.cancelling() > 0
