"""SQLite's side of the dialect: connections, turns, the migration lock and the meaning of errors.

Several nodes may write one file. SQLite's own way of waiting, sleeping longer and longer, lets
one writer starve for seconds while another takes turn after turn. So nobody waits in there: who
is refused the write lock asks again every fifth of a millisecond, and all wait about equally.
"""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee

from zmqchat.errors import StartError
from zmqchat.store.dialect import Database, Statements, Trouble
from zmqchat.store.places import network_file_system, read_mounts
from zmqchat.store.sqlite_batch import SqliteStatements

TURN_S = 0.0002  # between two tries to get the write lock
PATIENCE_S = 2.0  # how long to try; the writer begins again after that, others give up
READ_PATIENCE_S = 5  # how long a read waits, for instance while the file is being recovered
MIGRATION_PATIENCE_S = 60.0
OLDEST_SQLITE = (3, 33)  # the first one with UPDATE … FROM

_PRAGMAS = {
    "synchronous": "FULL",  # a commit that was answered survives a power cut
    "foreign_keys": "ON",
}
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
    }
)
_TAKEN = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT_UNIQUE,
        sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        sqlite3.SQLITE_CONSTRAINT_ROWID,
    }
)


class FairDatabase(peewee.SqliteDatabase):
    """A database whose transactions take the write lock at once, or wait for it in fair turns.

    Only the first look at the file, while a connection is opened, waits as SQLite does it: somebody
    may be recovering the write-ahead log. So do all statements outside of transactions with
    ``patient``.
    """

    def __init__(self, path: str, *, patient: bool = False, **options: Any) -> None:
        super().__init__(path, timeout=READ_PATIENCE_S, **options)
        self._patient = patient

    def _add_conn_hooks(self, conn: sqlite3.Connection) -> None:
        super()._add_conn_hooks(conn)  # type: ignore[misc]
        if not self._patient:
            conn.execute("PRAGMA busy_timeout = 0")

    def begin(self, lock_type: str | None = None) -> None:  # noqa: ARG002 - peewee's signature
        """Begin a transaction as the only writer; raise OperationalError after `PATIENCE_S`."""
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                super().begin("IMMEDIATE")
            except peewee.OperationalError as error:
                # Also its kinds, as when another process recovers the write-ahead log.
                busy = (_code(error) or 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > give_up_at:
                    raise
            else:
                return
            time.sleep(TURN_S)


class SqliteDialect:
    """One database file."""

    def __init__(self, database: str, **options: Any) -> None:
        if options:
            raise StartError(f"database {database}: sqlite takes no options, got {options}")
        if database == ":memory:":
            raise StartError("database sqlite: expected the path of a file, as sqlite:////path")
        self.path = Path(database)
        self.where = str(self.path)
        self.statements: Statements = SqliteStatements()
        self.errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def exists(self) -> bool:
        """Whether there is a file."""
        return self.path.exists()

    def database(self, *, for_writing: bool, patient: bool = False) -> Database:
        """Describe a connection to the file; see `Dialect`."""
        # Connections are used by one thread and closed by another that has waited for it.
        options: dict[str, Any] = {"pragmas": _PRAGMAS, "check_same_thread": False}
        if for_writing:
            return FairDatabase(str(self.path), patient=patient, **options)
        return peewee.SqliteDatabase(str(self.path), timeout=READ_PATIENCE_S, **options)

    def prepare(self) -> None:
        """Switch the file to a write-ahead log, and see that it can be written."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            oldest = ".".join(map(str, OLDEST_SQLITE))
            raise StartError(f"SQLite {sqlite3.sqlite_version}; expected {oldest} or later")
        database = FairDatabase(str(self.path), patient=True, pragmas=_PRAGMAS)
        try:
            with database.connection_context():
                database.pragma("journal_mode", "WAL")
                with database.atomic():
                    pass
        except peewee.PeeweeException as error:
            raise StartError(f"database {self.where}: {error}") from error

    @contextlib.contextmanager
    def migration_lock(self) -> Iterator[None]:
        """Hold a lock on a file beside the database; see `Dialect`."""
        self._refuse_network()  # already the lock would not be true there
        path = self.path.with_name(self.path.name + ".migrate")
        try:
            lock = path.open("a")
        except OSError as error:
            raise StartError(f"database {self.where}: {path}: {error.strerror}") from error
        with lock:
            _wait_for(lock.fileno(), path)
            yield

    def _refuse_network(self) -> None:
        kind = network_file_system(self.path.resolve(), read_mounts())
        if kind is not None:
            raise StartError(
                f"database {self.where}: is on a network file system ({kind}), where SQLite loses"
                " data; expected a local disk, or a mysql: database"
            )

    def check(self, database: Database) -> None:
        """Look for rows whose foreign key leads nowhere."""
        rows = database.execute_sql("PRAGMA foreign_key_check")
        broken = rows.fetchone()
        if broken is not None:
            table, row, other, _ = broken
            raise StartError(
                f"database {self.where}: row {row} of {table} refers to a row of {other} that "
                "does not exist"
            )

    def trouble(self, error: Exception) -> Trouble:
        """Tell what an error means by the code that SQLite gave it."""
        code = _code(error)
        if code in _TAKEN:
            return Trouble.TAKEN
        if code is not None and code & 0xFF in _PASSING:
            return Trouble.PASSING
        return Trouble.REFUSED

    def lost(self, error: Exception) -> bool:  # noqa: ARG002 - the protocol's signature
        """Answer no: there is nobody at the other end who could hang up."""
        return False


def _code(error: Exception) -> int | None:
    """Find SQLite's extended error code, also where peewee has wrapped the error."""
    return getattr(getattr(error, "orig", error), "sqlite_errorcode", None)


def _wait_for(descriptor: int, path: Path) -> None:
    give_up_at = time.monotonic() + MIGRATION_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                raise StartError(
                    f"another process has held {path} for {MIGRATION_PATIENCE_S:.0f} s"
                ) from None
            time.sleep(0.02)
        else:
            return
