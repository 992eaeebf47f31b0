"""Brings a database's tables up to date: numbered scripts, each run once by one process.

The scripts stand in ``migrations``; the database lists those it has seen. Processes that start
together wait for each other at a lock, which is not a transaction: inside one, SQLite keeps its
foreign keys on, and a script that rebuilds a table would lose the rows that refer to it.
"""

from __future__ import annotations

import enum
from pathlib import Path

import peewee
from playhouse.migrations import Runner

from zmqchat.errors import StartError
from zmqchat.store.dialect import Database, Dialect

SCRIPTS = Path(__file__).parent / "migrations"


class SchemaState(enum.Enum):
    """How a database's tables stand to what this program knows."""

    CURRENT = "current"
    PENDING = "pending"  # scripts have not run yet
    NEWER = "newer"  # a newer program has run scripts that are unknown here


def migrate(dialect: Dialect, scripts: Path = SCRIPTS) -> list[str]:
    """Run the scripts that have not run yet and name them; blocks.

    Raises `StartError` if the database cannot be used, or belongs to a newer program.
    """
    with dialect.migration_lock():
        dialect.prepare()
        database = dialect.database(for_writing=True, patient=True)
        try:
            with database.connection_context():
                return _run(dialect, database, scripts)
        except peewee.PeeweeException as error:
            raise StartError(f"database {dialect.where}: {error}") from error


def _run(dialect: Dialect, database: Database, scripts: Path) -> list[str]:
    runner = Runner(database, scripts)
    status = runner.status()
    unknown = [script.name for script in status if script.path is None]
    pending = [script for script in status if script.applied is None]
    if unknown:
        raise StartError(
            f"database {dialect.where}: a newer zmqchat has changed its tables"
            f" ({', '.join(unknown)}); this one would not understand them"
        )
    done: list[str] = []
    for script in pending:
        # The script's own transaction becomes a part of this one, which the check may undo.
        with runner.migrator.migration_context():
            done += runner.up(script.name)
            dialect.check(database)
    return done


def schema_state(database: Database, scripts: Path = SCRIPTS) -> SchemaState:
    """Compare the database's list of scripts with the scripts that are here; blocks."""
    status = Runner(database, scripts).status()
    if any(script.path is None for script in status):
        return SchemaState.NEWER
    if any(script.applied is None for script in status):
        return SchemaState.PENDING
    return SchemaState.CURRENT
