# ruff: noqa: S608 - nothing but placeholders is put into the SQL
"""The spelling of a batch's statements for MySQL and MariaDB.

Each statement takes all rows at once. Every table is told its index: on a small table, or with
old statistics, the server would rather read all rows, and a statement that holds rows would then
hold all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from zmqchat.core.logins import Login
from zmqchat.store.dialect import Cursor, Head, HeadRise, Key, Marks, NewLogin, NewRow
from zmqchat.store.models import KIND_TEXT, MessageRow
from zmqchat.wire.mesh import Audience


class MysqlStatements:
    """The statements of a batch; see `zmqchat.store.dialect.Statements`."""

    def now_ms(self, cursor: Cursor) -> int:
        """The server's clock: the nodes' own may differ."""
        ((now_ms,),) = _ask(cursor, "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)", ())
        return int(now_ms)

    def by_id(self, cursor: Cursor, ids: Sequence[int]) -> list[MessageRow]:
        """Messages that have one of these ids."""
        if not ids:
            return []
        sql = (
            f"SELECT {_MESSAGE_ROW} FROM message m FORCE INDEX (PRIMARY)"
            " STRAIGHT_JOIN conversation c ON c.id = m.conversation_id"
            f" WHERE m.id IN ({_marks(len(ids))})"
        )
        return [MessageRow._make(row) for row in _ask(cursor, sql, ids)]

    def by_key(self, cursor: Cursor, keys: Sequence[Key]) -> list[MessageRow]:
        """Messages that were stored under one of these keys.

        In two steps: the search goes by an index only where all of a key is in one table.
        """
        customers = {head.customer: head.id for head in self.heads(cursor, [k[0] for k in keys])}
        known = [
            (customers[customer], author, client_id)
            for customer, author, client_id in keys
            if customer in customers
        ]
        if not known:
            return []
        sql = (
            f"SELECT {_MESSAGE_ROW}"
            " FROM message m FORCE INDEX (message_conversation_id_author_client_id)"
            " STRAIGHT_JOIN conversation c ON c.id = m.conversation_id"
            f" WHERE (m.conversation_id, m.author, m.client_id) IN ({_rows(len(known), 3)})"
        )
        return [MessageRow._make(row) for row in _ask(cursor, sql, _flat(known))]

    def hold(self, cursor: Cursor, customers: Sequence[str]) -> None:
        """Hold the rows that are there; the index gives them in the order of the names."""
        if customers:
            _ask(cursor, f"{_heads(len(customers))} FOR UPDATE", customers)

    def raise_heads(self, cursor: Cursor, rises: Sequence[HeadRise]) -> None:
        """Raise the heads, beginning conversations that are new."""
        sql = (
            "INSERT INTO conversation"
            " (customer, last_seq, customer_read_seq, desk_read_seq, updated_at)"
            f" VALUES {_rows(len(rises), len(HeadRise._fields))}"
            " ON DUPLICATE KEY UPDATE"  # from left to right: last_seq is the old one until its turn
            " customer_read_seq = customer_read_seq"
            " + VALUES(customer_read_seq) * (customer_read_seq = last_seq),"
            " desk_read_seq = desk_read_seq + VALUES(desk_read_seq) * (desk_read_seq = last_seq),"
            " last_seq = last_seq + VALUES(last_seq),"
            " updated_at = GREATEST(updated_at, VALUES(updated_at))"
        )
        cursor.execute(sql, _flat(rises))

    def heads(self, cursor: Cursor, customers: Sequence[str]) -> list[Head]:
        """The rows of these customers' conversations."""
        if not customers:
            return []
        return [Head._make(row) for row in _ask(cursor, _heads(len(customers)), customers)]

    def insert(self, cursor: Cursor, rows: Sequence[NewRow]) -> None:
        """Store messages."""
        row = f"({_marks(10)},'{KIND_TEXT}',{Audience.ALL:d})"
        sql = (
            "INSERT INTO message (id, conversation_id, seq, author, client_id, sender,"
            f" receiver, agent, msg, create_time, kind, audience) VALUES {_times(row, len(rows))}"
        )
        cursor.execute(sql, _flat(rows))

    def set_marks(self, cursor: Cursor, marks: Sequence[Marks]) -> None:
        """Set read marks, of rows that are held already."""
        row = "SELECT %s AS customer_read_seq, %s AS desk_read_seq, %s AS id"
        sql = (
            f"UPDATE ({' UNION ALL '.join([row] * len(marks))}) marks"
            " STRAIGHT_JOIN conversation c FORCE INDEX (PRIMARY) ON c.id = marks.id"
            " SET c.customer_read_seq = marks.customer_read_seq,"
            " c.desk_read_seq = marks.desk_read_seq"
        )
        cursor.execute(sql, _flat(marks))

    def logins(self, cursor: Cursor, users: Sequence[str]) -> list[Login]:
        """The newest logins of these users, held until the end."""
        sql = (
            "SELECT user, login_epoch, session, node FROM login FORCE INDEX (login_user)"
            f" WHERE user IN ({_marks(len(users))}) FOR UPDATE"
        )
        return [Login(*row) for row in _ask(cursor, sql, users)]

    def log_in(self, cursor: Cursor, rows: Sequence[NewLogin]) -> None:
        """Raise the epochs of these users."""
        sql = (
            "INSERT INTO login (login_epoch, user, session, node, incarnation)"
            f" VALUES {_times('(1,%s,%s,%s,%s)', len(rows))}"
            " ON DUPLICATE KEY UPDATE login_epoch = login_epoch + 1, session = VALUES(session),"
            " node = VALUES(node), incarnation = VALUES(incarnation)"
        )
        if rows:
            cursor.execute(sql, _flat(rows))


_MESSAGE_ROW = (
    "m.id, m.seq, c.customer, m.author, m.client_id, m.kind,"
    " m.sender, m.receiver, m.agent, m.msg, m.create_time"
)


def _heads(customers: int) -> str:
    return (
        "SELECT id, customer, last_seq, customer_read_seq, desk_read_seq"
        " FROM conversation FORCE INDEX (conversation_customer)"
        f" WHERE customer IN ({_marks(customers)})"
    )


def _ask(cursor: Cursor, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    cursor.execute(sql, tuple(values))
    return list(cursor.fetchall())


def _flat(rows: Iterable[Iterable[Any]]) -> tuple[Any, ...]:
    return tuple(itertools.chain.from_iterable(rows))


def _marks(count: int) -> str:
    return _times("%s", count)


def _rows(rows: int, columns: int) -> str:
    return _times(f"({_marks(columns)})", rows)


def _times(text: str, count: int) -> str:
    return ",".join([text] * count)
