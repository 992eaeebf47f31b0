# ruff: noqa: S608 - nothing but question marks is put into the SQL
"""SQLite's spelling of a batch's statements.

Python gives its lock away at every step of a statement and then queues up for it again, behind
an event loop that may be busy: going row by row (``executemany``, or fetching many rows) made a
batch of 200 take a second on a busy node. So rows go in by statements for 1, 2, 4 … 256 rows,
which stay few and prepared, and the heads come out as one JSON value.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from zmqchat.core.logins import Login
from zmqchat.store.dialect import Cursor, Head, HeadRise, Key, Marks, NewLogin, NewRow
from zmqchat.store.models import KIND_TEXT, MessageRow
from zmqchat.wire.mesh import Audience

_LARGEST = 256  # rows of a statement: 2,560 of the 32,766 values that SQLite takes

_decode_heads = msgspec.json.Decoder(list[tuple[int, str, int, int, int]]).decode
_decode_logins = msgspec.json.Decoder(list[tuple[str, int, str, int]]).decode


class SqliteStatements:
    """The statements of a batch; see `zmqchat.store.dialect.Statements`."""

    def now_ms(self, cursor: Cursor) -> int:  # noqa: ARG002 - a file has no clock
        """The time of this machine, on which all nodes run."""
        return time.time_ns() // 1_000_000

    def by_id(self, cursor: Cursor, ids: Sequence[int]) -> list[MessageRow]:
        """Messages that have one of these ids."""
        found = _execute(cursor, _by_id, [(message_id,) for message_id in ids])
        return [MessageRow._make(row) for row in found]

    def by_key(self, cursor: Cursor, keys: Sequence[Key]) -> list[MessageRow]:
        """Messages that were stored under one of these keys."""
        return [MessageRow._make(row) for row in _execute(cursor, _by_key, keys)]

    def hold(self, cursor: Cursor, customers: Sequence[str]) -> None:
        """Do nothing: the transaction holds the whole file."""

    def raise_heads(self, cursor: Cursor, rises: Sequence[HeadRise]) -> None:
        """Raise the heads, beginning conversations that are new."""
        _execute(cursor, _raise_heads, rises)

    def heads(self, cursor: Cursor, customers: Sequence[str]) -> list[Head]:
        """The rows of these customers' conversations."""
        found = _execute(cursor, _heads, [(customer,) for customer in customers])
        rows = itertools.chain.from_iterable(_decode_heads(text) for (text,) in found)
        return [Head._make(row) for row in rows]

    def insert(self, cursor: Cursor, rows: Sequence[NewRow]) -> None:
        """Store messages."""
        _execute(cursor, _insert, rows)

    def set_marks(self, cursor: Cursor, marks: Sequence[Marks]) -> None:
        """Set read marks."""
        _execute(cursor, _set_marks, marks)

    def logins(self, cursor: Cursor, users: Sequence[str]) -> list[Login]:
        """The newest logins of these users."""
        found = _execute(cursor, _logins, [(user,) for user in users])
        rows = itertools.chain.from_iterable(_decode_logins(text) for (text,) in found)
        return [Login(*row) for row in rows]

    def log_in(self, cursor: Cursor, rows: Sequence[NewLogin]) -> None:
        """Raise the epochs of these users."""
        _execute(cursor, _log_in, rows)


def _execute(
    cursor: Cursor, spell: Callable[[int], str], rows: Sequence[Iterable[Any]]
) -> list[tuple[Any, ...]]:
    """Run a statement over all rows, as many at a time as a power of two allows."""
    found: list[tuple[Any, ...]] = []
    start = 0
    while start < len(rows):
        size = min(_LARGEST, 1 << (len(rows) - start).bit_length() - 1)
        values = list(itertools.chain.from_iterable(rows[start : start + size]))
        cursor.execute(spell(size), values)
        found += cursor.fetchall()
        start += size
    return found


def _values(rows: int, columns: int) -> str:
    return ",".join(["(" + ",".join("?" * columns) + ")"] * rows)


_MESSAGE_ROW = (
    "m.id, m.seq, c.customer, m.author, m.client_id, m.kind,"
    " m.sender, m.receiver, m.agent, m.msg, m.create_time"
)


@functools.cache
def _by_id(rows: int) -> str:
    return (
        f"SELECT {_MESSAGE_ROW} FROM message m JOIN conversation c ON c.id = m.conversation_id"
        f" WHERE m.id IN ({','.join('?' * rows)})"
    )


@functools.cache
def _by_key(rows: int) -> str:
    # CROSS JOIN fixes the order of the search. A tuple with IN would read the whole table.
    return (
        f"WITH sent(customer, author, client_id) AS (VALUES {_values(rows, 3)})"
        f" SELECT {_MESSAGE_ROW} FROM sent"
        " CROSS JOIN conversation c ON c.customer = sent.customer"
        " CROSS JOIN message m ON m.conversation_id = c.id"
        " AND m.author = sent.author AND m.client_id = sent.client_id"
    )


@functools.cache
def _raise_heads(rows: int) -> str:
    return (
        "INSERT INTO conversation"
        "(customer, last_seq, customer_read_seq, desk_read_seq, updated_at)"
        f" VALUES {_values(rows, len(HeadRise._fields))}"
        " ON CONFLICT(customer) DO UPDATE SET"
        " customer_read_seq = customer_read_seq"
        " + excluded.customer_read_seq * (customer_read_seq = last_seq),"
        " desk_read_seq = desk_read_seq + excluded.desk_read_seq * (desk_read_seq = last_seq),"
        " last_seq = last_seq + excluded.last_seq,"
        " updated_at = max(updated_at, excluded.updated_at)"
    )


@functools.cache
def _heads(rows: int) -> str:
    return (
        "SELECT json_group_array("
        "json_array(id, customer, last_seq, customer_read_seq, desk_read_seq))"
        f" FROM conversation WHERE customer IN ({','.join('?' * rows)})"
    )


@functools.cache
def _insert(rows: int) -> str:
    # OR FAIL leaves a half-done statement behind, where the default would first write down how
    # to undo it; the batch is rolled back anyway.
    row = f"(?,?,?,?,?,?,?,?,?,?,'{KIND_TEXT}',{Audience.ALL:d})"
    return (
        "INSERT OR FAIL INTO message(id, conversation_id, seq, author, client_id, sender,"
        " receiver, agent, msg, create_time, kind, audience) VALUES " + ",".join([row] * rows)
    )


@functools.cache
def _set_marks(rows: int) -> str:
    return (
        "WITH marks(customer_read_seq, desk_read_seq, id) AS"
        f" (VALUES {_values(rows, len(Marks._fields))})"
        " UPDATE conversation SET customer_read_seq = marks.customer_read_seq,"
        " desk_read_seq = marks.desk_read_seq FROM marks WHERE conversation.id = marks.id"
    )


@functools.cache
def _logins(rows: int) -> str:
    return (
        "SELECT json_group_array(json_array(user, login_epoch, session, node))"
        f" FROM login WHERE user IN ({','.join('?' * rows)})"
    )


@functools.cache
def _log_in(rows: int) -> str:
    return (
        "INSERT INTO login(login_epoch, user, session, node, incarnation)"
        " VALUES " + ",".join(["(1,?,?,?,?)"] * rows) + " ON CONFLICT(user) DO UPDATE SET"
        " login_epoch = login_epoch + 1, session = excluded.session, node = excluded.node,"
        " incarnation = excluded.incarnation"
    )
