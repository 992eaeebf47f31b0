"""Conversations with their messages, and the nodes that registered."""

from __future__ import annotations

from typing import Any

import peewee

from zmqchat.store.tables import make_tables


def up(migrator: Any, db: peewee.Database) -> None:  # noqa: ARG001 - the runner passes it
    """Make the tables; these classes are a frozen copy of what the models were then."""
    # SQLite checks a deferred key at the commit, and so needs no journal of its own for a
    # statement that inserts many rows; that journal costs more than the rows.
    deferrable = "INITIALLY DEFERRED" if isinstance(db, peewee.SqliteDatabase) else None

    class Conversation(peewee.Model):
        id = peewee.BigAutoField()
        customer = peewee.CharField(64, unique=True)
        last_seq = peewee.BigIntegerField()
        customer_read_seq = peewee.BigIntegerField()
        desk_read_seq = peewee.BigIntegerField()
        updated_at = peewee.BigIntegerField(index=True)

        class Meta:
            database = db
            table_name = "conversation"

    class Message(peewee.Model):
        id = peewee.BigIntegerField(primary_key=True)
        conversation = peewee.ForeignKeyField(Conversation, index=False, deferrable=deferrable)
        seq = peewee.BigIntegerField()
        author = peewee.CharField(64)
        client_id = peewee.CharField(64, null=True)
        kind = peewee.CharField(16)
        audience = peewee.SmallIntegerField()
        sender = peewee.CharField(64)
        receiver = peewee.CharField(64)
        agent = peewee.CharField(64, null=True)
        msg = peewee.TextField()
        create_time = peewee.BigIntegerField()

        class Meta:
            database = db
            table_name = "message"
            indexes = (
                (("conversation", "seq"), True),
                (("conversation", "author", "client_id"), True),
            )

    class Node(peewee.Model):
        number = peewee.BigIntegerField(primary_key=True)
        name = peewee.CharField(64, unique=True)
        incarnation = peewee.BigIntegerField()
        http = peewee.CharField(255)
        url = peewee.CharField(255)
        mesh = peewee.CharField(255)

        class Meta:
            database = db
            table_name = "node"

    make_tables(db, Conversation, Message, Node)
