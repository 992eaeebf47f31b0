"""What is SQLite's own: where the file may be, how it is opened, and whose turn it is."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import peewee
import pytest

from zmqchat.errors import StartError
from zmqchat.store import sqlite
from zmqchat.store.dialect import Trouble, dialect_of
from zmqchat.store.migrate import migrate
from zmqchat.store.sqlite import SqliteDialect

# Commits as fast as it can for a second, then prints how often it could.
GREEDY = """
import sys, time
from zmqchat.store.dialect import dialect_of

database = dialect_of(sys.argv[1]).database(for_writing=True)
database.connect()
print("ready", flush=True)
sys.stdin.readline()
turns, end = 0, time.monotonic() + 1
while time.monotonic() < end:
    database.begin()
    database.execute_sql("UPDATE conversation SET last_seq = last_seq + 1")
    database.commit()
    turns += 1
database.close()
print(turns)
"""


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///{folder}/missing/chat.db", "missing/chat.db.migrate: No such file"),
        ("sqlite:///{folder}/folder", "folder: unable to open database file"),
        ("sqlite:///{folder}/text.db", "text.db: file is not a database"),
        ("sqlite:///:memory:", "expected the path of a file"),
        ("sqlite:///{folder}/chat.db?mode=ro", "sqlite takes no options, got {'mode': 'ro'}"),
        (
            "postgres://localhost/chat",
            "database postgres: expected one of mariadb:, mysql:, sqlite:",
        ),
    ],
)
def test_a_database_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, url: str, message: str
) -> None:
    """The error names the database and what is wrong with it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.db").write_text("this is not a database " * 100)
    with pytest.raises(StartError) as caught:
        migrate(dialect_of(url.format(folder=tmp_path)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_may_only_be_read_is_found_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening takes the write lock once, so that a node does not start without being able to."""
    dialect = SqliteDialect(str(tmp_path / "chat.db"))
    migrate(dialect)
    # The tests may run as root, whom permissions do not stop; so the connection is told.
    monkeypatch.setitem(sqlite._PRAGMAS, "query_only", "ON")
    with pytest.raises(StartError, match=r"chat\.db: attempt to write a readonly database"):
        migrate(dialect)


def test_an_sqlite_that_is_too_old_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statements that it does not know would fail much later, and less clearly."""
    monkeypatch.setattr(sqlite, "OLDEST_SQLITE", (99, 1))
    with pytest.raises(StartError, match=r"expected 99\.1 or later"):
        migrate(SqliteDialect(str(tmp_path / "chat.db")))


@pytest.mark.parametrize("for_writing", [True, False])
def test_connections_are_safe(tmp_path: Path, for_writing: bool) -> None:
    """A commit is on the disk when it is answered, and foreign keys are checked."""
    dialect = SqliteDialect(str(tmp_path / "chat.db"))
    migrate(dialect)
    database = dialect.database(for_writing=for_writing)
    with database.connection_context():
        pragmas = {
            name: database.pragma(name)
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    full = 2
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 0 if for_writing else 5000,
    }


def test_errors_are_told_apart(tmp_path: Path) -> None:
    """Busy may pass, a taken key is looked up, anything else is the batch's own fault."""
    dialect = SqliteDialect(str(tmp_path / "chat.db"))
    migrate(dialect)
    database = dialect.database(for_writing=False)
    add = "INSERT INTO node VALUES (1, 'n1', 1, '', '', '')"

    def trouble(sql: str) -> Trouble:
        with pytest.raises(peewee.PeeweeException) as caught:
            database.execute_sql(sql)
        return dialect.trouble(caught.value)

    with database.connection_context():
        database.execute_sql(add)
        assert trouble(add) is Trouble.TAKEN
        assert trouble("INSERT INTO node VALUES (2, 'n1', 1, '', '', '')") is Trouble.TAKEN
        assert trouble("INSERT INTO node VALUES (2, NULL, 1, '', '', '')") is Trouble.REFUSED
        assert trouble("SELECT nonsense") is Trouble.REFUSED
        other = sqlite3.connect(dialect.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        database.execute_sql("PRAGMA busy_timeout = 0")
        assert trouble(add.replace("1", "3")) is Trouble.PASSING
        other.close()
    assert dialect.trouble(UnicodeEncodeError("utf-8", "x", 0, 1, "no")) is Trouble.REFUSED


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that gets no turn gives up with the database's own error."""
    monkeypatch.setattr(sqlite, "PATIENCE_S", 0.05)
    dialect = SqliteDialect(str(tmp_path / "chat.db"))
    migrate(dialect)
    holder, waiter = (dialect.database(for_writing=True) for _ in range(2))
    with (
        holder.connection_context(),
        holder.atomic(),
        waiter.connection_context(),
        pytest.raises(peewee.OperationalError, match="database is locked"),
    ):
        waiter.begin()


def test_three_greedy_processes_get_fair_turns(tmp_path: Path) -> None:
    """Of three processes that write without a pause, none is left out."""
    url = f"sqlite:///{tmp_path}/chat.db"
    migrate(dialect_of(url))
    connection = sqlite3.connect(tmp_path / "chat.db")
    connection.execute("INSERT INTO conversation VALUES (1, 'u1', 0, 0, 0, 0)")
    connection.commit()
    connection.close()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", GREEDY, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=30)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    turns = sorted(map(int, answers))
    # Behind SQLite's own handler one of them gets a turn in a hundred.
    assert turns[0] > sum(turns) / 20, turns


def test_who_connects_waits_while_another_has_the_file_for_itself(tmp_path: Path) -> None:
    """As long as somebody recovers the write-ahead log, others find the file locked."""
    path = tmp_path / "chat.db"
    dialect = SqliteDialect(str(path))
    dialect.prepare()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("CREATE TABLE held (id INTEGER)")
    released = threading.Timer(0.2, other.close)
    released.start()
    try:
        database = dialect.database(for_writing=True)
        with database.connection_context(), database.atomic():
            assert database.execute_sql("SELECT count(*) FROM held").fetchone() == (0,)
        assert migrate(dialect) != []
    finally:
        released.join()
