"""The whole store of a node: opens the database, and is all of the store's ports.

The order of calls is `Store.open`, `register`, then everything else, `close` last.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import Callable, Collection, Iterable
from typing import Any

from zmqchat.core.logins import Login
from zmqchat.errors import StoreUnavailable
from zmqchat.store import migrate, registry, settings
from zmqchat.store.counts import StoreCounts
from zmqchat.store.dialect import Clock, Dialect, Statements, dialect_of
from zmqchat.store.directory import DirectoryReads
from zmqchat.store.history import History
from zmqchat.store.ids import MessageIds
from zmqchat.store.logins import read_logins
from zmqchat.store.migrate import SchemaState
from zmqchat.store.ports import (
    ConversationHead,
    ConversationState,
    Draft,
    NodeRecord,
    Outcome,
    Page,
    Side,
)
from zmqchat.store.readers import Readers
from zmqchat.store.writer import Writer
from zmqchat.wire.client import Message

MAX_QUEUED_JOBS = 20_000
MAX_QUEUED_BYTES = 32 * 1024 * 1024
CLOSE_DEADLINE_S = 4.0  # a supervisor that waits ten seconds need not kill
LOG_IN_PATIENCE_S = 5.0
SECRET_BYTES = 32
EPOCH_BYTES = 8


class Store:
    """Messages, logins and directory in one database; `zmqchat.store.ports` says what it does.

    ``clock`` gives milliseconds since 1970 instead of the clock of the database.
    """

    def __init__(
        self,
        dialect: Dialect,
        loop: asyncio.AbstractEventLoop,
        *,
        clock: Callable[[], int] | None = None,
        max_queued_jobs: int = MAX_QUEUED_JOBS,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self.where = dialect.where  # the database in words, without its password
        self._clock = _clock_of(dialect.statements, clock)
        self._readers = Readers(dialect.database(for_writing=False), dialect.errors, dialect.lost)
        self._history = History(self._readers)
        self._directory = DirectoryReads(self._readers)
        self._writer = Writer(
            dialect, loop, clock=self._clock, max_jobs=max_queued_jobs, max_bytes=max_queued_bytes
        )

    @classmethod
    def open(cls, url: str, loop: asyncio.AbstractEventLoop, **options: Any) -> Store:
        """Bring the tables of a database up to date and open it; blocks while scripts run.

        ``options`` are those of the class. Raises `StartError` in one line that names the
        database and what is wrong with it.
        """
        dialect = dialect_of(url)
        migrate.migrate(dialect)
        return cls(dialect, loop, **options)

    @property
    def counts(self) -> StoreCounts:
        """What the store has counted."""
        return self._writer.counts

    async def close(self, deadline_s: float = CLOSE_DEADLINE_S) -> None:
        """Finish the writes that wait, give them their answers, and let go of the database.

        What is not written by the deadline is refused as busy.
        """
        await asyncio.to_thread(self._close, deadline_s)

    def _close(self, deadline_s: float) -> None:
        self._writer.close(deadline_s)
        self._readers.close()

    async def problems(self) -> dict[str, str | None]:
        """Look whether the database can be read, fits this program, and takes writes."""
        try:
            state = await self._readers.run(
                functools.partial(migrate.schema_state, self._readers.database)
            )
        except StoreUnavailable as error:
            return {"database": str(error)}
        wrong = None if state is SchemaState.CURRENT else f"it is {state.value}"
        return {"database": None, "schema": wrong, "writes": self.counts.trouble}

    # Messages

    def append(self, draft: Draft, done: Callable[[Outcome], None]) -> bool:
        """Queue a message; only after `register`."""
        return self._writer.append(draft, done)

    def mark_read(
        self, conversation: str, side: Side, seq: int, done: Callable[[int | None], None]
    ) -> bool:
        """Queue a read mark."""
        return self._writer.mark_read(conversation, side, seq, done)

    async def history(
        self,
        conversation: str,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = 200,
    ) -> Page:
        """Read a page of a conversation."""
        return await self._history.history(conversation, before=before, after=after, limit=limit)

    async def between(self, conversation: str, first: int, last: int) -> list[Message]:
        """Read a range of a conversation."""
        return await self._history.between(conversation, first, last)

    async def head(self, conversation: str, before_ms: int | None = None) -> int:
        """Read a conversation's highest seq."""
        return await self._history.head(conversation, before_ms)

    async def time_ms(self) -> int:
        """Tell the time by the clock that stamps messages."""
        database = self._readers.database
        return await self._readers.run(lambda: self._clock(database.cursor()))

    async def changed(self, since_ms: int, limit: int) -> list[ConversationState]:
        """Read which conversations got a message."""
        return await self._history.changed(since_ms, limit)

    async def states(self, conversations: Collection[str]) -> list[ConversationState]:
        """Read where conversations stand."""
        return await self._history.states(conversations)

    # Logins

    async def log_in(
        self, user: str, session: str, *, continues: bool, node: int, incarnation: int
    ) -> Login:
        """Take a login epoch, in one batch with whatever else is written."""
        answer: asyncio.Future[Login | None] = asyncio.get_running_loop().create_future()

        def done(login: Login | None) -> None:
            if not answer.done():
                answer.set_result(login)

        if not self._writer.log_in(
            user, session, continues=continues, node=node, incarnation=incarnation, done=done
        ):
            raise StoreUnavailable("too many writes wait")
        try:
            async with asyncio.timeout(LOG_IN_PATIENCE_S):
                login = await answer
        except TimeoutError:
            raise StoreUnavailable("the database takes no logins for now") from None
        if login is None:
            raise StoreUnavailable("the database took no login")
        return login

    async def newest_logins(self, users: Iterable[str]) -> list[Login]:
        """Read who logged in last."""
        return await read_logins(self._readers, users)

    async def cluster_secret(self) -> bytes:
        """Read the secret, or make it."""
        return bytes.fromhex(await self._kept(settings.CLUSTER_SECRET, SECRET_BYTES))

    async def _kept(self, key: str, random_bytes: int) -> str:
        chosen = secrets.token_hex(random_bytes)
        return await self._readers.run(
            functools.partial(settings.keep, self._writer.database, key, chosen)
        )

    # Directory

    async def register(self, name: str, *, http: str, url: str, mesh: str) -> NodeRecord:
        """Begin a new life of a node, in whose name messages are stored from now on."""
        record, highest_id = await self._readers.run(
            functools.partial(
                registry.register,
                self._writer.database,
                name,
                http=http,
                url=url,
                mesh=mesh,
                clock=self._clock,
            )
        )
        self._writer.ids = MessageIds(record.number, above=highest_id)
        return record

    async def database_epoch(self) -> str:
        """Read which life of the database this is, or begin one."""
        return await self._kept(settings.DATABASE_EPOCH, EPOCH_BYTES)

    async def announce(self, number: int, *, http: str, mesh: str) -> None:
        """Tell where a node of this store is."""
        await self._readers.run(
            functools.partial(
                registry.announce, self._writer.database, number, http=http, mesh=mesh
            )
        )

    async def leave(self, number: int, incarnation: int) -> None:
        """Note that a life of a node is over."""
        await self._readers.run(
            functools.partial(registry.leave, self._writer.database, number, incarnation)
        )

    async def nodes(self) -> list[NodeRecord]:
        """Read all nodes."""
        return await self._directory.nodes()

    async def customers(self, limit: int = 1000) -> list[str]:
        """Read the customers who have written."""
        return await self._directory.customers(limit)

    async def conversations(self, *, before: str | None, limit: int) -> list[ConversationHead]:
        """Read a page of the desk's list."""
        return await self._directory.conversations(before=before, limit=limit)


def _clock_of(statements: Statements, clock: Callable[[], int] | None) -> Clock:
    return statements.now_ms if clock is None else lambda _: clock()
