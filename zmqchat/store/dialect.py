"""What differs between databases: how they connect, lock and fail, and the SQL of a batch.

A `Dialect` is chosen by the scheme of the database's URL. Everything else in the store is the
same for every database; whatever needs two spellings stands here as a promise and in the module
of its database as SQL.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from playhouse import db_url

from zmqchat.core.logins import Login
from zmqchat.errors import StartError
from zmqchat.store.models import MessageRow

PASSWORD_VARIABLE = "ZMQCHAT_DB_PASSWORD"  # noqa: S105 - the name of it; a server's password

Cursor = Any  # a DB-API cursor
Database = Any  # a peewee.Database; peewee tells the types of a part of it only
Clock = Callable[[Cursor], int]  # tells the time that is stored, milliseconds since 1970


class Trouble(enum.Enum):
    """What an error of the database means for the batch that met it."""

    PASSING = "busy, a deadlock, a lost connection, a full disk: the same batch may go in later"
    TAKEN = "another process stored one of these keys just now: look it up, then write again"
    REFUSED = "something in the batch will never go in"


# What makes a message the same one when it is sent again: conversation, author, client id.
Key = tuple[str, str, str]

# A row for the table message, a plain tuple because there are many: id, conversation's id, seq,
# author, client id, sender, receiver, agent, msg, create time.
NewRow = tuple[int, int, int, str, str | None, str, str, str | None, str, int]


class HeadRise(NamedTuple):
    """How a batch raises a conversation's head; the conversation begins with it if need be.

    A read mark that stands at the head rises by its number here: to who has read everything,
    one's own message is no news.
    """

    customer: str
    messages: int
    customer_read: int
    desk_read: int
    now_ms: int


class Head(NamedTuple):
    """A conversation's row as it stands in the transaction."""

    id: int
    customer: str
    last_seq: int
    customer_read_seq: int
    desk_read_seq: int


class Marks(NamedTuple):
    """The read marks a conversation gets."""

    customer_read_seq: int
    desk_read_seq: int
    conversation: int


class NewLogin(NamedTuple):
    """A login that takes the next epoch of its user."""

    user: str
    session: str
    node: int
    incarnation: int


class Statements(Protocol):
    """The statements of a batch, all inside one transaction that somebody else began.

    Their number does not grow with the batch (SQLite: not faster than its logarithm), and each
    finds its rows by an index. On a server, where batches of several nodes run at the same time,
    rows are held in the order of their keys, logins before conversations, so that no two batches
    wait for each other.
    """

    def now_ms(self, cursor: Cursor) -> int:
        """The time that is stored, in milliseconds since 1970: a server's own, if there is one."""

    def by_id(self, cursor: Cursor, ids: Sequence[int]) -> list[MessageRow]:
        """Messages that have one of these ids."""

    def by_key(self, cursor: Cursor, keys: Sequence[Key]) -> list[MessageRow]:
        """Messages that were stored under one of these keys."""

    def hold(self, cursor: Cursor, customers: Sequence[str]) -> None:
        """Hold the rows of these customers' conversations until the end, in this order."""

    def raise_heads(self, cursor: Cursor, rises: Sequence[HeadRise]) -> None:
        """Raise the heads, in this order, and hold their rows until the end."""

    def heads(self, cursor: Cursor, customers: Sequence[str]) -> list[Head]:
        """The rows of these customers' conversations, as far as there are any."""

    def insert(self, cursor: Cursor, rows: Sequence[NewRow]) -> None:
        """Store messages."""

    def set_marks(self, cursor: Cursor, marks: Sequence[Marks]) -> None:
        """Set read marks."""

    def logins(self, cursor: Cursor, users: Sequence[str]) -> list[Login]:
        """The newest logins of these users, held until the end, as far as there are any."""

    def log_in(self, cursor: Cursor, rows: Sequence[NewLogin]) -> None:
        """Raise the epoch of each row's user by one, in this order; a user may stand twice."""


class Dialect(Protocol):
    """One kind of database at one address."""

    where: str  # the database in words, for errors; no password
    statements: Statements
    errors: tuple[type[Exception], ...]  # of the driver

    def exists(self) -> bool:
        """Whether there is a database to look into; a server is only asked when it is used."""

    def database(self, *, for_writing: bool, patient: bool = False) -> Database:
        """Describe a connection; it is opened in each thread that uses it.

        With ``patient`` a statement may take as long as it likes, as one that changes a large
        table; otherwise a server that is silent for some seconds counts as lost. Only with
        ``for_writing`` may its ``begin`` be used, which waits a while for its turn.
        """

    def prepare(self) -> None:
        """Make the place usable; raise `StartError` in one line if it is not."""

    def migration_lock(self) -> AbstractContextManager[None]:
        """Keep every other process from migrating; this is not a transaction."""

    def check(self, database: Database) -> None:
        """Raise `StartError` if a row refers to one that does not exist."""

    def trouble(self, error: Exception) -> Trouble:
        """Tell what an error that came out of a batch means."""

    def lost(self, error: Exception) -> bool:
        """Tell whether an error means that this connection ended, and another may work."""


def _sqlite(url: str) -> Dialect:
    from zmqchat.store.sqlite import SqliteDialect  # noqa: PLC0415 - only what is used is loaded

    return SqliteDialect(**db_url.parse(url))


def _mysql(url: str) -> Dialect:
    try:
        from zmqchat.store.mysql import MysqlDialect  # noqa: PLC0415 - only what is used is loaded
    except ImportError as error:
        raise StartError(
            f"a database on a MySQL or MariaDB server needs zmqchat[mysql]: {error}"
        ) from error
    return MysqlDialect(url, os.environ.get(PASSWORD_VARIABLE, ""))


_BY_SCHEME: dict[str, Callable[[str], Dialect]] = {
    "mariadb": _mysql,
    "mysql": _mysql,
    "sqlite": _sqlite,
}


def dialect_of(url: str) -> Dialect:
    """Choose the dialect of a database URL, as ``sqlite:////var/lib/zmqchat/zmqchat.db``.

    A server's password comes from the environment, so that it stands in no file that is printed.
    """
    scheme = urlsplit(url).scheme
    make = _BY_SCHEME.get(scheme)
    if make is None:
        raise StartError(f"database {scheme}: expected one of {_known_schemes(_BY_SCHEME)}")
    return make(url)


def _known_schemes(schemes: Iterable[str]) -> str:
    return ", ".join(f"{scheme}:" for scheme in sorted(schemes))
