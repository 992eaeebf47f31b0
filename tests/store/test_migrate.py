"""Migrations: once, whole or not at all, and never backwards."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from zmqchat.errors import StartError
from zmqchat.store import migrate, sqlite
from zmqchat.store.dialect import Dialect, dialect_of
from zmqchat.store.migrate import SchemaState

GOOD = "def up(migrator, db):\n    db.execute_sql('CREATE TABLE later (id INTEGER)')\n"
BROKEN = GOOD + "    raise LookupError('a mistake')\n"
DANGLING = (
    "def up(migrator, db):\n"
    "    db.execute_sql(\"INSERT INTO message SELECT 1, 77, 1, 'a', NULL, 'text', 0,"
    " 'a', 'b', NULL, 'hi', 0\")\n"
)
REBUILD = """
def up(migrator, db):
    db.execute_sql("CREATE TABLE fresh AS SELECT * FROM conversation")
    db.execute_sql("UPDATE fresh SET customer = upper(customer)")
    db.execute_sql("DROP TABLE conversation")
    db.execute_sql("CREATE TABLE conversation (id INTEGER PRIMARY KEY, customer, last_seq)")
    db.execute_sql("INSERT INTO conversation SELECT id, customer, last_seq FROM fresh")
    db.execute_sql("DROP TABLE fresh")
"""


@pytest.fixture
def dialect(tmp_path: Path) -> Dialect:
    """A database file that does not exist yet."""
    return dialect_of(f"sqlite:///{tmp_path}/chat.db")


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A copy of the scripts, to which a test adds its own."""
    copy = tmp_path / "scripts"
    shutil.copytree(migrate.SCRIPTS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def rows(dialect: Dialect, sql: str) -> list[tuple[Any, ...]]:
    """Ask the file something."""
    connection = sqlite3.connect(dialect.where)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def state(dialect: Dialect, scripts: Path = migrate.SCRIPTS) -> SchemaState:
    """Compare the file with the scripts."""
    database = dialect.database(for_writing=False)
    with database.connection_context():
        return migrate.schema_state(database, scripts)


def test_a_script_may_rebuild_a_table_that_others_refer_to(dialect: Dialect, scripts: Path) -> None:
    """Foreign keys are off meanwhile, so the rows that refer to it stay as they are."""
    migrate.migrate(dialect, scripts)
    connection = sqlite3.connect(dialect.where)
    connection.execute("INSERT INTO conversation VALUES (5, 'u1', 1, 0, 0, 0)")
    connection.execute(
        "INSERT INTO message VALUES (1, 5, 1, 'u1', NULL, 'text', 0, 'u1', 'b', NULL, 'hi', 0)"
    )
    connection.commit()
    connection.close()
    (scripts / "0003_rebuild.py").write_text(REBUILD)
    assert migrate.migrate(dialect, scripts) == ["0003_rebuild"]
    assert rows(dialect, "SELECT customer FROM conversation") == [("U1",)]
    assert rows(dialect, "SELECT msg FROM message WHERE conversation_id = 5") == [("hi",)]


def test_scripts_run_once(dialect: Dialect) -> None:
    """The first run makes the tables, the second does nothing."""
    assert migrate.migrate(dialect) == ["0001_chat", "0002_logins"]
    assert migrate.migrate(dialect) == []
    assert state(dialect) is SchemaState.CURRENT


def test_a_script_that_fails_leaves_nothing_behind(dialect: Dialect, scripts: Path) -> None:
    """Its changes are rolled back, those before it stay, and it is tried again next time."""
    (scripts / "0003_later.py").write_text(BROKEN)
    with pytest.raises(LookupError):
        migrate.migrate(dialect, scripts)
    assert rows(dialect, "SELECT name FROM schema_migration ORDER BY name") == [
        ("0001_chat",),
        ("0002_logins",),
    ]
    assert rows(dialect, "SELECT 1 FROM sqlite_schema WHERE name = 'later'") == []
    assert state(dialect, scripts) is SchemaState.PENDING
    (scripts / "0003_later.py").write_text(GOOD)
    assert migrate.migrate(dialect, scripts) == ["0003_later"]


def test_a_newer_schema_is_refused(dialect: Dialect, scripts: Path) -> None:
    """What a newer program made is left alone; the error names what is unknown."""
    (scripts / "0003_later.py").write_text(GOOD)
    migrate.migrate(dialect, scripts)
    assert state(dialect) is SchemaState.NEWER
    with pytest.raises(StartError, match=r"chat\.db: a newer zmqchat .*0003_later"):
        migrate.migrate(dialect)


def test_a_row_that_refers_to_nothing_is_found(dialect: Dialect, scripts: Path) -> None:
    """Foreign keys are off while a script runs; what it broke is found and undone."""
    (scripts / "0003_dangling.py").write_text(DANGLING)
    with pytest.raises(StartError, match="row 1 of message refers to a row of conversation"):
        migrate.migrate(dialect, scripts)
    assert rows(dialect, "SELECT * FROM message") == []
    assert state(dialect, scripts) is SchemaState.PENDING


def test_the_lock_is_waited_for(dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds the lock taken migrates when it is free, or gives up after a while."""
    with dialect.migration_lock():
        with monkeypatch.context() as patch:
            patch.setattr(sqlite, "MIGRATION_PATIENCE_S", 0.05)
            with pytest.raises(StartError, match="for 0 s"):
                migrate.migrate(dialect)
        done: list[list[str]] = []
        thread = threading.Thread(target=lambda: done.append(migrate.migrate(dialect)))
        thread.start()
        thread.join(0.1)
        assert done == []
    thread.join(10)
    assert done == [["0001_chat", "0002_logins"]]
