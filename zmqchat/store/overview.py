"""What an operator wants to know of a database: where it is, its tables, its rows."""

from __future__ import annotations

import msgspec
import peewee

from zmqchat.errors import StartError
from zmqchat.store.dialect import Database, dialect_of
from zmqchat.store.migrate import SchemaState, schema_state
from zmqchat.store.models import Conversation, Message, Node

_COUNTED = {"nodes": Node, "conversations": Conversation, "messages": Message}


class Overview(msgspec.Struct, frozen=True):
    """A database as it is now."""

    database: str  # where it is, without a password
    schema: SchemaState
    rows: dict[str, int]  # empty unless the schema is current

    @property
    def is_current(self) -> bool:
        """Whether this program can work with it as it is."""
        return self.schema is SchemaState.CURRENT


def look_into(url: str) -> Overview:
    """Look into a database without changing it; blocks while rows are counted.

    Raises `StartError` if it cannot be read.
    """
    dialect = dialect_of(url)
    if not dialect.exists():
        return Overview(dialect.where, SchemaState.PENDING, {})
    database = dialect.database(for_writing=False, patient=True)
    errors: tuple[type[Exception], ...] = (peewee.PeeweeException, *dialect.errors)
    try:
        with database.connection_context():
            state = schema_state(database)
            rows = _count(database) if state is SchemaState.CURRENT else {}
    except errors as error:
        raise StartError(f"database {dialect.where}: {error}") from error
    return Overview(dialect.where, state, rows)


def _count(database: Database) -> dict[str, int]:
    return {name: model.select().bind(database).count() for name, model in _COUNTED.items()}
