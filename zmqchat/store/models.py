"""The tables, as peewee knows them; the migrations make them.

The classes are bound to no database: every query says which one it is for (``bind``), so that
several stores may live in one process. Times are milliseconds since 1970, UTC.
"""

from __future__ import annotations

from typing import NamedTuple

import peewee

from zmqchat.store.ids import id_text
from zmqchat.wire import client

KIND_TEXT = "text"


class Conversation(peewee.Model):
    """Everything between one customer and the desk, with its head and two read marks."""

    id = peewee.BigAutoField()
    customer = peewee.CharField(64, unique=True)
    last_seq = peewee.BigIntegerField()
    customer_read_seq = peewee.BigIntegerField()
    desk_read_seq = peewee.BigIntegerField()
    updated_at = peewee.BigIntegerField(index=True)

    class Meta:
        """peewee's settings."""

        table_name = "conversation"


class Message(peewee.Model):
    """A stored message; ``audience`` is a number of `wire.mesh.Audience`."""

    id = peewee.BigIntegerField(primary_key=True)
    conversation = peewee.ForeignKeyField(Conversation, index=False)
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
        """peewee's settings."""

        table_name = "message"
        indexes = (
            (("conversation", "seq"), True),
            (("conversation", "author", "client_id"), True),
        )


class Node(peewee.Model):
    """A node that registered: its number stays, its incarnation grows with every life."""

    number = peewee.BigIntegerField(primary_key=True)
    name = peewee.CharField(64, unique=True)
    incarnation = peewee.BigIntegerField()
    http = peewee.CharField(255)
    url = peewee.CharField(255)
    mesh = peewee.CharField(255)

    class Meta:
        """peewee's settings."""

        table_name = "node"


class Login(peewee.Model):
    """The newest login of a user who may have one session."""

    id = peewee.BigAutoField()
    user = peewee.CharField(64, unique=True)
    login_epoch = peewee.BigIntegerField()
    session = peewee.CharField(128)
    node = peewee.BigIntegerField()
    incarnation = peewee.BigIntegerField()

    class Meta:
        """peewee's settings."""

        table_name = "login"


class Setting(peewee.Model):
    """Something the cluster keeps for itself, as its secret."""

    id = peewee.BigAutoField()
    key = peewee.CharField(64, unique=True)
    value = peewee.CharField(255)

    class Meta:
        """peewee's settings."""

        table_name = "setting"


class MessageRow(NamedTuple):
    """A message as it is read, in this order by every query."""

    id: int
    seq: int
    conversation: str  # the customer's name, from the table conversation
    author: str
    client_id: str | None
    kind: str
    sender: str
    receiver: str
    agent: str | None
    msg: str
    create_time: int

    def to_message(self) -> client.Message:
        """Turn the row into what clients see; the author stays behind."""
        return client.Message(
            id=id_text(self.id),
            seq=self.seq,
            conversation=self.conversation,
            sender=self.sender,
            receiver=self.receiver,
            agent=self.agent,
            msg=self.msg,
            create_time=client.iso_time(self.create_time),
            client_id=self.client_id,
            kind=self.kind,
        )


# The columns of a `MessageRow`, for queries that join message and conversation.
MESSAGE_ROW = (
    Message.id,
    Message.seq,
    Conversation.customer,
    Message.author,
    Message.client_id,
    Message.kind,
    Message.sender,
    Message.receiver,
    Message.agent,
    Message.msg,
    Message.create_time,
)
