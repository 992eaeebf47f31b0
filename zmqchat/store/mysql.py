"""The side of the dialect that MySQL and MariaDB share: connections, the lock, meaning of errors.

Connections compare names byte by byte, tell the time in UTC, and read what is committed: a
statement must find what another node has just stored, and hold no gap between rows where another
node would insert. Who waits for another's lock gives up after a while and begins again, so that
nothing hangs.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any

import peewee
import pymysql

from zmqchat.config import server_url
from zmqchat.config.forms import Address
from zmqchat.config.server_url import ServerUrl
from zmqchat.errors import StartError
from zmqchat.store.dialect import Database, Statements, Trouble
from zmqchat.store.mysql_batch import MysqlStatements

log = logging.getLogger(__name__)

LOCK_PATIENCE_S = 2  # how long to wait for rows that others hold; the writer then begins again
CONNECT_PATIENCE_S = 5
ANSWER_PATIENCE_S = 5  # a server that is silent for longer counts as lost
MIGRATION_PATIENCE_S = 60
OLDEST = {"MariaDB": (10, 4), "MySQL": (8, 0)}
# A batch is at most 1 MiB and a message by its own count; escaped and encoded it may be thrice.
MIN_PACKET_BYTES = 4 * 1024 * 1024

_LOST = frozenset(
    {
        0,  # the driver's own, of a connection it has closed
        1053,  # the server shuts down
        1079,
        1152,  # aborted connections and errors of the network, up to 1161
        1158,
        1159,
        1160,
        1161,
        1927,  # killed, by MariaDB
        2002,
        2003,
        2006,
        2013,
        2014,
        2055,
        3169,  # killed, by MySQL
        4031,  # idle for too long
    }
)
_PASSING = _LOST | {
    3,  # error when writing a file, mostly for want of room
    20,  # disk full
    1020,  # changed since it was read
    1021,  # disk full
    1026,  # error when writing a file
    1030,  # the storage engine's own trouble, as a full disk
    1037,  # out of memory, up to 1041
    1038,
    1041,
    1040,  # too many connections
    1044,  # who we are or what we may is wrong, so it is not the batch; an operator may mend it
    1045,
    1047,  # a member of a cluster that is not ready
    1049,
    1114,  # table full, as a full disk is called here
    1129,
    1130,
    1142,
    1180,  # error at the commit
    1203,  # too many connections of this user
    1205,  # waited too long for a lock
    1206,
    1213,  # deadlock
    1223,
    1226,
    1290,  # read only
    1317,  # interrupted
    1792,  # read only
    1836,  # read only
    1969,  # took too long
    3024,
}
_TAKEN = frozenset({1062, 1586})
_ERRORS: tuple[type[Exception], ...] = (peewee.PeeweeException, pymysql.Error)


class ServerDatabase(peewee.MySQLDatabase):
    """A database whose connections are all set up in the same way."""

    # A text may have 64 KiB, one byte more than MySQL's TEXT.
    field_types = peewee.MySQLDatabase.field_types | {"TEXT": "MEDIUMTEXT"}

    def _connect(self) -> Any:
        connection = super()._connect()  # type: ignore[misc]  # peewee's, if without a type
        try:
            with connection.cursor() as cursor:
                for statement in _SETTINGS:
                    cursor.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection


_SETTINGS = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00',"
    f" innodb_lock_wait_timeout = {LOCK_PATIENCE_S}, lock_wait_timeout = {LOCK_PATIENCE_S}",
)


class MysqlDialect:
    """One database on a server."""

    def __init__(self, url: str, password: str) -> None:
        try:
            self._url = server_url.parse(url)
        except ValueError as error:
            raise StartError(f"database: {error}") from None
        self._password = password.encode(errors="surrogateescape")
        self.where = str(self._url)
        self.statements: Statements = MysqlStatements()
        self.errors: tuple[type[Exception], ...] = (pymysql.Error,)

    def exists(self) -> bool:
        """Whether there is a database; who connects will see."""
        return True

    def database(
        self,
        *,
        for_writing: bool,  # noqa: ARG002 - all are set up alike
        patient: bool = False,
    ) -> Database:
        """Describe a connection; see `Dialect`."""
        return self._database(None if patient else ANSWER_PATIENCE_S)

    def _database(self, patience_s: float | None) -> Database:
        return ServerDatabase(
            self._url.name,
            user=self._url.user,
            password=self._password,
            charset="utf8mb4",
            collation="utf8mb4_bin",
            connect_timeout=CONNECT_PATIENCE_S,
            read_timeout=patience_s,
            write_timeout=patience_s,
            **_place(self._url),
        )

    def prepare(self) -> None:
        """See that the server is new enough, and takes batches."""
        with self._connected(ANSWER_PATIENCE_S) as database:
            asked = "SELECT VERSION(), @@max_allowed_packet, @@innodb_flush_log_at_trx_commit"
            version, packet, flushed = database.execute_sql(asked).fetchone()
        kind = "MariaDB" if "mariadb" in version.lower() else "MySQL"
        oldest = OLDEST[kind]
        if tuple(map(int, re.findall(r"\d+", version)[:2])) < oldest:
            expected = ".".join(map(str, oldest))
            raise StartError(
                f"database {self.where}: {kind} {version}; expected {expected} or later"
            )
        if packet < MIN_PACKET_BYTES:
            raise StartError(
                f"database {self.where}: max_allowed_packet is {packet}; expected at least"
                f" {MIN_PACKET_BYTES}"
            )
        if flushed != 1:
            log.warning(
                "%s: innodb_flush_log_at_trx_commit is %s; only with 1 does what was acknowledged"
                " survive a power cut",
                self.where,
                flushed,
            )

    @contextlib.contextmanager
    def migration_lock(self) -> Iterator[None]:
        """Hold a lock of the server that ends with its connection; see `Dialect`."""
        with self._connected(MIGRATION_PATIENCE_S + CONNECT_PATIENCE_S) as database:
            name = f"zmqchat.{self._url.name}"[:64]
            asked = database.execute_sql("SELECT GET_LOCK(%s, %s)", (name, MIGRATION_PATIENCE_S))
            if asked.fetchone() != (1,):
                raise StartError(
                    f"another process has held the lock {name} of {self.where} for"
                    f" {MIGRATION_PATIENCE_S} s"
                )
            yield

    @contextlib.contextmanager
    def _connected(self, patience_s: float) -> Iterator[Database]:
        database = self._database(patience_s)
        try:
            with database.connection_context():
                yield database
        except _ERRORS as error:
            raise StartError(f"database {self.where}: {error_text(error)}") from error

    def check(self, database: Database) -> None:
        """Do nothing: the server checks every foreign key at once."""

    def trouble(self, error: Exception) -> Trouble:
        """Tell what an error means by the number that the server or the driver gave it."""
        code = _code(error)
        if code in _TAKEN:
            return Trouble.TAKEN
        return Trouble.PASSING if code in _PASSING else Trouble.REFUSED

    def lost(self, error: Exception) -> bool:
        """Tell whether the connection has ended."""
        return _code(error) in _LOST


def error_text(error: Exception) -> str:
    """Say an error of the driver in words, with its number."""
    found = getattr(error, "orig", error)
    if len(found.args) < 2:
        return str(found)
    return f"{found.args[1]} ({found.args[0]})"


def _code(error: Exception) -> int | None:
    """Find the error's number, also where peewee has wrapped the error."""
    found = getattr(error, "orig", error)
    if isinstance(found, pymysql.Error) and found.args and isinstance(found.args[0], int):
        return found.args[0]
    return None


def _place(url: ServerUrl) -> dict[str, Any]:
    place: dict[str, Any] = {"host": url.host, "port": url.port}
    if url.socket is not None:
        place["unix_socket"] = url.socket
    if url.ssl_ca is None and (url.socket or Address(url.host, url.port).is_loopback):
        place["ssl_disabled"] = True  # nobody in between; elsewhere it is used if the server can
    elif url.ssl_ca is not None:
        place |= {"ssl_ca": url.ssl_ca, "ssl_verify_cert": True}
        place |= {"ssl_verify_identity": url.ssl_verify_identity}
    if url.ssl_cert is not None:
        place |= {"ssl_cert": url.ssl_cert, "ssl_key": url.ssl_key}
    return place
