"""What is MySQL's and MariaDB's own: connections, errors, the clock, and batches side by side."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest

from tests.clients import until
from tests.contract.stores import (
    MariaPlace,
    draft,
    in_loop,
    log_in,
    mark,
    opened,
    send,
    store_it,
)
from tests.databases import MISSING, USER, MariaServer, is_installed
from zmqchat.errors import StartError, StoreUnavailable
from zmqchat.store import mysql
from zmqchat.store.batch import Batch
from zmqchat.store.dialect import PASSWORD_VARIABLE, Dialect, Trouble, dialect_of
from zmqchat.store.jobs import Append, Job, LogIn, Mark
from zmqchat.store.migrate import migrate
from zmqchat.store.ports import Side

PASSWORD = "pass@wörd/?"


@pytest.fixture
def place(mariadb: MariaServer) -> MariaPlace:
    """An empty database on the server that tests share."""
    return MariaPlace(mariadb)


# -- connections --------------------------------------------------------------------------------


def test_connections_are_all_alike(place: MariaPlace) -> None:
    """Whatever the server's defaults are: UTC, strict, bytes compared, and no long waiting."""
    database = dialect_of(place.url).database(for_writing=True)
    with database.connection_context():
        asked = (
            "SELECT @@tx_isolation, @@collation_connection, @@character_set_client, @@time_zone,"
            " @@sql_mode, @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@autocommit"
        )
        assert database.execute_sql(asked).fetchone() == (
            "READ-COMMITTED",
            "utf8mb4_bin",
            "utf8mb4",
            "+00:00",
            "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
            mysql.LOCK_PATIENCE_S,
            mysql.LOCK_PATIENCE_S,
            1,
        )


def test_a_server_of_this_machine_may_be_reached_by_its_socket(mariadb: MariaServer) -> None:
    """The option says where it is."""
    name = mariadb.fresh().rpartition("/")[2]
    assert migrate(dialect_of(mariadb.socket_url(name))) != []


def test_a_database_that_cannot_be_used_is_one_clear_line(
    place: MariaPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the database and what is wrong, and never the password."""
    monkeypatch.setenv(PASSWORD_VARIABLE, "geheim")
    port = place.server.port
    for url, message in [
        (place.url, r"Access denied for user 'zmqchat'@'127.0.0.1' \(using password: YES\)"),
        (place.url.replace(f":{port}/", ":1/"), r"Can't connect to MySQL server .*refused"),
        ("mysql://me@localhost/chat?tls=1", "unknown option tls; expected one of socket, ssl_ca"),
    ]:
        with pytest.raises(StartError, match=message) as caught:
            migrate(dialect_of(url))
        assert str(caught.value).startswith("database")
        assert "geheim" not in str(caught.value)
        assert "\n" not in str(caught.value)
    monkeypatch.delenv(PASSWORD_VARIABLE)
    with pytest.raises(StartError, match=r"/chat_none: Unknown database 'chat_none' \(1049\)"):
        migrate(dialect_of(place.server.url("chat_none")))


def test_a_server_that_does_not_fit_is_refused(
    place: MariaPlace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Too old, or with packets too small for a batch; one that may forget is complained of."""
    dialect = dialect_of(place.url)
    with monkeypatch.context() as patch:
        patch.setitem(mysql.OLDEST, "MariaDB", (99, 1))
        with pytest.raises(StartError, match=r"MariaDB 1\S+; expected 99\.1 or later"):
            migrate(dialect)
    with monkeypatch.context() as patch:
        patch.setattr(mysql, "MIN_PACKET_BYTES", 2**40)
        with pytest.raises(StartError, match="max_allowed_packet is 16777216; expected at least"):
            migrate(dialect)
    dialect.prepare()
    assert caplog.messages == []
    with _global(place.server, "innodb_flush_log_at_trx_commit", 2, otherwise=1):
        dialect.prepare()
    assert "only with 1 does what was acknowledged" in caplog.text


@contextlib.contextmanager
def _global(server: MariaServer, name: str, value: int, *, otherwise: int) -> Iterator[None]:
    server.run(f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        server.run(f"SET GLOBAL {name} = {otherwise}")


@in_loop
async def test_a_node_may_do_without_the_right_to_make_tables(
    place: MariaPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If somebody else has migrated, four rights on the rows are enough for everything."""
    migrate(dialect_of(place.url))
    user = "'clerk'@'127.0.0.1'"
    place.run(f"CREATE USER {user} IDENTIFIED BY '{PASSWORD}'")
    place.run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {place.name}.* TO {user}")
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    monkeypatch.setattr(place, "url", place.url.replace(USER, "clerk"))
    async with opened(place) as store:
        await log_in(store, "Ann", "s1")
        await store_it(store, draft("u1", "hi", agent="Ann", login_epoch=1))
        assert await mark(store, "u1", Side.CUSTOMER, 1) == 1
        assert len(await store.cluster_secret()) == 32
        assert set((await store.problems()).values()) == {None}


# -- TLS ----------------------------------------------------------------------------------------


def _certificates(folder: Path) -> None:
    """Make two authorities, and a certificate of the first for a server called localhost."""
    for name in ("ca", "stranger"):
        _openssl(
            folder,
            f"req -x509 {_NEW_KEY} -subj /CN={name} -keyout {name}.key -out {name}.pem -days 2",
        )
    _openssl(folder, f"req {_NEW_KEY} -subj /CN=server -keyout server.key -out server.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    signing = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names"
    _openssl(folder, f"x509 -req -in server.csr -out server.pem {signing}")


def _openssl(folder: Path, command: str) -> None:
    words = ["openssl", *command.split()]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_server_is_known_by_its_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS is used where it is asked for; a stranger and a wrong name are refused."""
    if not is_installed():
        pytest.skip(MISSING)
    _certificates(tmp_path)
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    options = [f"--ssl-{kind}={tmp_path}/server.{end}" for kind, end in _SERVER_FILES]
    with MariaServer(tmp_path / "server", *options) as server:
        url = server.fresh()
        server.run(f"ALTER USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL")
        with pytest.raises(StartError, match="Access denied"):
            migrate(dialect_of(url))
        with pytest.raises(StartError, match="certificate verify failed: unable"):
            migrate(dialect_of(f"{url}?ssl_ca={tmp_path}/stranger.pem"))
        with pytest.raises(StartError, match=r"certificate is not valid for '127\.0\.0\.1'"):
            migrate(dialect_of(f"{url}?ssl_ca={tmp_path}/ca.pem"))
        named = url.replace("127.0.0.1", "localhost")
        for right in (
            f"{named}?ssl_ca={tmp_path}/ca.pem",
            f"{url}?ssl_ca={tmp_path}/ca.pem&ssl_verify_identity=false",
        ):
            database = dialect_of(right).database(for_writing=False)
            with database.connection_context():
                (_, cipher) = database.execute_sql("SHOW STATUS LIKE 'Ssl_cipher'").fetchone()
            assert cipher


_NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
_SERVER_FILES = (("cert", "pem"), ("key", "key"))


# -- errors -------------------------------------------------------------------------------------


def test_errors_are_told_apart(place: MariaPlace) -> None:
    """Locked, read-only and cut off may pass, a taken key is looked up, the rest is refused."""
    dialect = dialect_of(place.url)
    migrate(dialect)
    database = dialect.database(for_writing=True)
    add = "INSERT INTO node VALUES (1, 'n1', 1, '', '', '')"

    def trouble(sql: str) -> tuple[Trouble, bool]:
        with pytest.raises(peewee.PeeweeException) as caught:
            database.execute_sql(sql)
        return dialect.trouble(caught.value), dialect.lost(caught.value)

    with database.connection_context():
        database.execute_sql(add)
        assert trouble(add) == (Trouble.TAKEN, False)
        assert trouble("INSERT INTO node VALUES (2, 'n1', 1, '', '', '')") == (Trouble.TAKEN, False)
        assert trouble("INSERT INTO node VALUES (2, NULL, 1, '', '', '')") == _REFUSED
        assert trouble(f"INSERT INTO node VALUES (2, '{65 * 'n'}', 1, '', '', '')") == _REFUSED
        assert trouble("SELECT nonsense") == _REFUSED
        with place.server.connection(place.name) as other:
            other.begin()
            other.cursor().execute("SELECT * FROM node FOR UPDATE")
            assert trouble("SELECT * FROM node FOR UPDATE NOWAIT") == (Trouble.PASSING, False)
        with _global(place.server, "read_only", 1, otherwise=0):
            assert trouble("UPDATE node SET name = 'n2'") == (Trouble.PASSING, False)
        (number,) = database.execute_sql("SELECT CONNECTION_ID()").fetchone()
        place.server.run(f"KILL {number}")
        for _ in range(2):  # told by the server, then by the driver
            assert trouble("SELECT 1") == (Trouble.PASSING, True)
    assert dialect.trouble(UnicodeEncodeError("utf-8", "x", 0, 1, "no")) is Trouble.REFUSED


_REFUSED = (Trouble.REFUSED, False)


@in_loop
async def test_connections_that_the_server_ended_are_made_anew(place: MariaPlace) -> None:
    """Neither a write nor a read fails for it, as after a night without traffic."""
    async with opened(place) as store:
        await store_it(store, draft("u1", "one"))
        assert await store.head("u1") == 1
        place.cut_off()
        assert await store.head("u1") == 1
        assert (await store_it(store, draft("u1", "two"))).message.seq == 2
        assert store.counts.retries == 1
        assert set((await store.problems()).values()) == {None}


@in_loop
async def test_a_server_that_falls_silent_counts_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads fail, writes wait, and once it goes on they are stored, each once."""
    if not is_installed():
        pytest.skip(MISSING)
    monkeypatch.setattr(mysql, "ANSWER_PATIENCE_S", 0.3)
    with MariaServer(tmp_path / "server") as server:
        async with opened(MariaPlace(server)) as store:
            await store_it(store, draft("u1", "one"))
            server.send(signal.SIGSTOP)
            try:
                waiting = send(store, draft("u1", "two", client_id="c"))
                with pytest.raises(StoreUnavailable, match="the database does not answer"):
                    await store.head("u1")
                await until("a retry", lambda: store.counts.retries > 0, lambda: store.counts)
                assert not waiting.done()
            finally:
                server.send(signal.SIGCONT)
            await waiting
            assert [m.msg for m in (await store.history("u1")).messages] == ["one", "two"]


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes with an extra, and who lacks it is told which."""
    monkeypatch.setitem(sys.modules, "pymysql", None)
    monkeypatch.delitem(sys.modules, "zmqchat.store.mysql")
    with pytest.raises(StartError, match=r"needs zmqchat\[mysql\]"):
        dialect_of("mysql://me@localhost/chat")


# -- the clock ----------------------------------------------------------------------------------


@in_loop
async def test_all_times_are_the_servers(
    place: MariaPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored and compared does not depend on the clock of a node."""
    async with opened(place) as store:
        first = await store.register("n1", http="", url="", mesh="")
        now = "SET timestamp = UNIX_TIMESTAMP('2033-05-18 03:33:20.123')"
        monkeypatch.setattr(mysql, "_SETTINGS", (*mysql._SETTINGS, now))
        place.cut_off()
        stored = await store_it(store, draft("u1", "hi"))
        assert stored.message.create_time == "2033-05-18T03:33:20.123Z"
        assert await store.time_ms() == 2_000_000_000_123
        (state,) = await store.changed(2_000_000_000_123, 10)
        assert state.updated_at_ms == 2_000_000_000_123
        again = await store.register("n1", http="", url="", mesh="")
        assert first.incarnation < again.incarnation == 2_000_000_000_123


# -- batches side by side -----------------------------------------------------------------------


class MeetingCursor:
    """A cursor that waits a moment for another one when it has raised the heads."""

    def __init__(self, cursor: Any, meeting: threading.Barrier) -> None:
        self._cursor = cursor
        self._meeting = meeting

    def execute(self, sql: str, values: Any = ()) -> None:
        """Run a statement, and wait after the one that raises heads."""
        self._cursor.execute(sql, values)
        if sql.startswith("INSERT INTO conversation"):
            with contextlib.suppress(threading.BrokenBarrierError):
                self._meeting.wait(0.3)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@in_loop
async def test_two_batches_never_wait_for_each_other_in_a_circle(place: MariaPlace) -> None:
    """Each writes where the other has read; rows are held in one order, without a deadlock."""
    meeting = threading.Barrier(2)
    dialect = dialect_of(place.url)

    def write(number: int, written: str, read: str) -> None:
        database = dialect.database(for_writing=True)
        jobs: list[Job] = [
            Append(draft(written, "hi", agent="Ann", login_epoch=1), print, 0, id=2**40 + number),
            LogIn(written, "s", False, 1, 1, print, 0),
            Mark(read, Side.DESK, 1, print, 0),
        ]
        with database.connection_context(), database.atomic():
            cursor = MeetingCursor(database.cursor(), meeting)
            Batch(jobs).write(cursor, dialect.statements, 1, tried_before=False)

    async with opened(place) as store:
        for name in ("a", "b"):
            await store_it(store, draft(name, "hi"))
        await asyncio.gather(
            asyncio.to_thread(write, 1, "a", "b"), asyncio.to_thread(write, 2, "b", "a")
        )
        heads = await store.conversations(before=None, limit=10)
    assert [head.last_seq for head in heads] == [2, 2]
    assert all(head.desk_read_seq >= 1 for head in heads)


@in_loop
async def test_a_name_that_begins_two_lives_at_once_begins_them_in_turn(
    place: MariaPlace,
) -> None:
    """Each life has an incarnation of its own, and other nodes keep their rows."""
    async with opened(place, "n1") as store:
        records = await asyncio.gather(
            *(store.register(f"n{n % 3}", http="", url="", mesh="") for n in range(12))
        )
        assert len({(record.name, record.incarnation) for record in records}) == 12
        numbers = {record.name: record.number for record in records}
        assert sorted(numbers.values()) == [1, 2, 3]
        assert {node.name: node.number for node in await store.nodes()} == numbers


# -- migrations ---------------------------------------------------------------------------------


def test_a_migration_that_broke_off_is_finished_later(place: MariaPlace) -> None:
    """Tables and indexes are committed one by one; what is there already is left as it is."""
    whole, half = place, MariaPlace(place.server)
    for each in (whole, half):
        migrate(dialect_of(each.url))
    half.run("DROP INDEX message_conversation_id_seq ON message")
    half.run("DROP TABLE node")
    half.run("DELETE FROM schema_migration WHERE name = '0001_chat'")
    assert migrate(dialect_of(half.url)) == ["0001_chat"]
    for table in ("conversation", "message", "node", "login", "setting"):
        assert _shape(half, table) == _shape(whole, table)


def _shape(place: MariaPlace, table: str) -> set[str]:
    (row,) = place.run(f"SHOW CREATE TABLE {table}")
    return {line.rstrip(",") for line in row[1].splitlines()}


def test_the_lock_is_waited_for(place: MariaPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds the lock taken migrates when it is free, or gives up after a while."""
    dialect: Dialect = dialect_of(place.url)
    with dialect.migration_lock():
        with monkeypatch.context() as patch:
            patch.setattr(mysql, "MIGRATION_PATIENCE_S", 0)
            with pytest.raises(StartError, match="has held the lock"):
                migrate(dialect)
        done: list[list[str]] = []
        thread = threading.Thread(target=lambda: done.append(migrate(dialect)))
        thread.start()
        thread.join(0.2)
        assert done == []
    thread.join(10)
    assert done == [["0001_chat", "0002_logins"]]
