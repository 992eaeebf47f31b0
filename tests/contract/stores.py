"""The databases that the store's contract suite runs against, and how its tests write.

Another kind of database joins with a class like `SqlitePlace` and a line in `conftest`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

import peewee
import pymysql

from tests.clients import until
from tests.databases import MariaServer
from tests.processes import wait_until
from zmqchat.core.logins import Login
from zmqchat.store.database import Store
from zmqchat.store.ports import Draft, Outcome, Side, Stored


class Place(Protocol):
    """An empty database of one kind, made for one test."""

    url: str

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement behind the store's back."""

    def held(self) -> contextlib.AbstractContextManager[None]:
        """Keep everybody else from writing."""

    def refuse_text(self, text: str) -> None:
        """Make the database refuse messages with this text."""

    def lost_answer(self) -> Exception:
        """Make the error that a store meets when the answer to a commit does not arrive."""

    def fill(self, conversations: int, messages: int) -> None:
        """Store many messages quickly, as customers ``c1``, ``c2`` and so on."""

    def cpu_s(self) -> float:
        """Tell how many seconds of CPU this process and that of the database have used."""

    def scans(self, sql: str, values: Any, *, may_walk: bool) -> list[str]:
        """Tell where a statement would read or sort a whole table.

        With ``may_walk`` it may go along an index from one end, to stop at its limit.
        """


class SqlitePlace:
    """A file in the test's own folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "chat.db"
        self.url = f"sqlite:///{self.path}"

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement on a connection of its own."""
        with self._connection() as connection:
            return connection.execute(sql).fetchall()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the one write lock of the file."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def refuse_text(self, text: str) -> None:
        """Add a trigger to the table."""
        self.run(
            f"CREATE TRIGGER no_{text} BEFORE INSERT ON message WHEN new.msg = '{text}'"
            " BEGIN SELECT RAISE(ABORT, 'not this text'); END"
        )

    def lost_answer(self) -> Exception:
        """Make an I/O error, as a commit on a failing disk gives it."""
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        return peewee.OperationalError(error, *error.args)

    def fill(self, conversations: int, messages: int) -> None:
        """Let SQLite count by itself."""
        each = messages // conversations
        with self._connection() as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            connection.execute(
                "INSERT INTO conversation"
                " (id, customer, last_seq, customer_read_seq, desk_read_seq, updated_at)"
                " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                " SELECT i, 'c' || i, ?, 0, 0, i FROM n",
                (conversations, each),
            )
            connection.execute(
                "INSERT INTO message (id, conversation_id, seq, author, client_id, kind,"
                " audience, sender, receiver, agent, msg, create_time)"
                " WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ? - 1)"
                " SELECT i, i / ? + 1, i % ? + 1, 'c' || (i / ? + 1), 'old-' || i, 'text', 0,"
                " 'c' || (i / ? + 1), 'super_admin', NULL, 'an old message', i FROM n",
                (each * conversations, each, each, each, each),
            )
            connection.execute("COMMIT")

    def cpu_s(self) -> float:
        """SQLite runs in this process."""
        return time.process_time()

    def scans(self, sql: str, values: Any, *, may_walk: bool) -> list[str]:
        """Ask for the plan, and pick the steps that are expensive."""
        with self._connection() as connection:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
        steps = [row[3] for row in plan]
        return [
            step
            for step in steps
            if _EXPENSIVE.search(step) and not (may_walk and _WALK.search(step))
        ]


# An index made for one statement reads the whole table, too. "sent" and "marks" are what came
# with the statement, as are constant rows.
_EXPENSIVE = re.compile(
    r"AUTOMATIC|TEMP B-TREE|^SCAN (?!sent$|marks$|\d+ CONSTANT ROWS?$|CONSTANT ROW$)"
)
_WALK = re.compile(r"^SCAN \w+ USING (COVERING )?INDEX ")


class MariaPlace:
    """A database of its own on a server that tests share."""

    def __init__(self, server: MariaServer) -> None:
        self.server = server
        self.url = server.fresh()
        self.name = self.url.rpartition("/")[2]

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement on a connection of its own."""
        return self.server.run(sql, self.name)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let the tables be read only, by whoever it is."""
        tables = [name for (name,) in self.run("SHOW TABLES")]
        with self.server.connection(self.name) as connection, connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLES {', '.join(f'{name} READ' for name in tables)}")
            yield

    def refuse_text(self, text: str) -> None:
        """Add a trigger to the table."""
        self.run(
            f"CREATE TRIGGER no_{text} BEFORE INSERT ON message FOR EACH ROW"
            f" IF new.msg = '{text}' THEN SIGNAL SQLSTATE '45000'; END IF"
        )

    def cut_off(self) -> None:
        """Let the server end all connections to this database, and wait until they are gone."""
        theirs = f"SELECT id FROM information_schema.processlist WHERE db = '{self.name}'"
        for (number,) in self.server.run(theirs):
            self.server.run(f"KILL {number}")
        wait_until(
            lambda: not self.server.run(theirs),
            "connections to end",
            state=lambda: self.server.run(theirs),
        )

    def lost_answer(self) -> Exception:
        """Make the driver's error of a connection that ended."""
        error = pymysql.OperationalError(2013, "Lost connection to MySQL server during query")
        return peewee.OperationalError(error, *error.args)

    def fill(self, conversations: int, messages: int) -> None:
        """Let the server count by itself."""
        each = messages // conversations
        with self.server.connection(self.name) as connection, connection.cursor() as cursor:
            cursor.execute("SET unique_checks = 0, foreign_key_checks = 0")
            cursor.execute(
                "INSERT INTO conversation"
                " (id, customer, last_seq, customer_read_seq, desk_read_seq, updated_at)"
                f" SELECT seq, CONCAT('c', seq), {each}, 0, 0, seq FROM seq_1_to_{conversations}"
            )
            last = each * conversations - 1
            number = f"(seq DIV {each} + 1)"
            cursor.execute(
                "INSERT INTO message (id, conversation_id, seq, author, client_id, kind,"
                " audience, sender, receiver, agent, msg, create_time)"
                f" SELECT seq, {number}, seq MOD {each} + 1, CONCAT('c', {number}),"
                f" CONCAT('old-', seq), 'text', 0, CONCAT('c', {number}), 'super_admin', NULL,"
                f" 'an old message', seq FROM seq_0_to_{last}"
            )
            cursor.execute("ANALYZE TABLE conversation, message")

    def cpu_s(self) -> float:
        """Add what the server has used."""
        return time.process_time() + self.server.cpu_s()

    def scans(self, sql: str, values: Any, *, may_walk: bool) -> list[str]:
        """Ask for the plan, and pick the steps that are expensive."""
        if "FROM" not in sql:
            return []
        with self.server.connection(self.name) as connection:
            cursor = connection.cursor(pymysql.cursors.DictCursor)
            cursor.execute(f"EXPLAIN {sql}", values)
            return [str(step) for step in cursor.fetchall() if _is_expensive(step, may_walk)]


def _is_expensive(step: dict[str, Any], may_walk: bool) -> bool:
    """Whether a step of a plan reads or sorts a table that was there before the statement."""
    table = step["table"] or ""
    if table in ("", "marks") or table.startswith("<"):
        return False
    sorts = re.search("filesort|temporary", step["Extra"] or "") is not None
    return sorts or step["type"] == "ALL" or (step["type"] == "index" and not may_walk)


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **fixtures: Any) -> None:
        asyncio.run(test(*args, **fixtures))

    return run


def draft(
    conversation: str,
    msg: str,
    *,
    client_id: str | None = None,
    agent: str | None = None,
    login_epoch: int | None = None,
) -> Draft:
    """A message of a customer, or of an agent to them."""
    desk = agent is not None
    return Draft(
        conversation=conversation,
        author=agent or conversation,
        by_desk=desk,
        sender="super_admin" if desk else conversation,
        receiver=conversation if desk else "super_admin",
        agent=agent,
        msg=msg,
        client_id=client_id,
        login_epoch=login_epoch,
    )


def send(store: Store, message: Draft) -> asyncio.Future[Outcome]:
    """Queue a message now; its outcome comes later."""
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    assert store.append(message, outcome.set_result), "the queue is full"
    return outcome


async def store_it(store: Store, message: Draft) -> Stored:
    """Store a message that must be stored."""
    outcome = await send(store, message)
    assert isinstance(outcome, Stored), outcome
    return outcome


async def log_in(store: Store, user: str, session: str, *, continues: bool = False) -> Login:
    """Log a user in, on node 7 in its third life; return the newest login then."""
    return await store.log_in(user, session, continues=continues, node=7, incarnation=3)


def mark(store: Store, conversation: str, side: Side, seq: int) -> asyncio.Future[int | None]:
    """Queue a read mark now; the answer comes later."""
    answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    assert store.mark_read(conversation, side, seq, answer.set_result), "the queue is full"
    return answer


@contextlib.asynccontextmanager
async def opened(place: Place, name: str = "n1", **options: Any) -> AsyncIterator[Store]:
    """Open a store under a node's name, and close it at the end of the block."""
    store = Store.open(place.url, asyncio.get_running_loop(), **options)
    try:
        await store.register(name, http="h:1", url="http://h:1", mesh="")
        yield store
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def one_batch(store: Store, place: Place) -> AsyncIterator[None]:
    """Hold the writer up, so that what is queued in the block makes one batch."""
    with place.held():
        first = send(store, draft("first", "takes the writer to where it is held up"))
        waiting = store._writer._queue._jobs
        await until("the writer takes a job", lambda: not waiting, lambda: len(waiting))
        yield
    await first
