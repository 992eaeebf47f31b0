"""Who there is: nodes that registered, customers who wrote, conversations by their last change."""

from __future__ import annotations

from typing import Any

import peewee
from peewee import fn

from zmqchat.errors import ErrorCode, Refused
from zmqchat.store.models import MESSAGE_ROW, Conversation, Message, MessageRow, Node
from zmqchat.store.ports import ConversationHead, NodeRecord
from zmqchat.store.readers import Readers
from zmqchat.wire.client import iso_time


class DirectoryReads:
    """Reads the directory in the readers' threads; see `ports.Directory`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def _rows(self, query: Any) -> list[Any]:
        return await self._readers.run(lambda: list(query.tuples().bind(self._readers.database)))

    async def nodes(self) -> list[NodeRecord]:
        """All nodes, by their numbers."""
        rows = await self._rows(Node.select(*_NODE_RECORD).order_by(Node.number))
        return [NodeRecord(*row) for row in rows]

    async def customers(self, limit: int) -> list[str]:
        """Names of customers with a message of their own, by the last change."""
        wrote = Message.select(Message.id).where(
            Message.conversation == Conversation.id, Message.author == Conversation.customer
        )
        query = Conversation.select(Conversation.customer).where(fn.EXISTS(wrote))
        query = query.order_by(Conversation.updated_at.desc(), Conversation.id.desc())
        return [name for (name,) in await self._rows(query.limit(limit) if limit else query)]

    async def conversations(self, *, before: str | None, limit: int) -> list[ConversationHead]:
        """A page of conversations, each with its newest message, in one query."""
        newest = (Message.conversation == Conversation.id) & (Message.seq == Conversation.last_seq)
        query = (
            Conversation.select(*_HEAD_COLUMNS, *MESSAGE_ROW)
            .join(Message, peewee.JOIN.LEFT_OUTER, on=newest)
            .order_by(Conversation.updated_at.desc(), Conversation.id.desc())
            .limit(limit)
        )
        if before is not None:
            updated_at, row_id = _read_cursor(before)
            # Said in two parts, the first is a range of the index.
            query = query.where(
                Conversation.updated_at <= updated_at,
                (Conversation.updated_at < updated_at) | (Conversation.id < row_id),
            )
        return [_head_of(row) for row in await self._rows(query)]


_NODE_RECORD = (Node.number, Node.name, Node.incarnation, Node.http, Node.url, Node.mesh)
_HEAD_COLUMNS = (
    Conversation.id,
    Conversation.customer,
    Conversation.last_seq,
    Conversation.customer_read_seq,
    Conversation.desk_read_seq,
    Conversation.updated_at,
)


def _head_of(row: tuple[Any, ...]) -> ConversationHead:
    row_id, customer, last_seq, customer_read_seq, desk_read_seq, updated_at = row[:6]
    newest = MessageRow._make(row[6:])
    return ConversationHead(
        conversation=customer,
        last_seq=last_seq,
        customer_read_seq=customer_read_seq,
        desk_read_seq=desk_read_seq,
        unread=last_seq - desk_read_seq,
        last_message=None if newest.id is None else newest.to_message(),
        updated_at=iso_time(updated_at),
        cursor=f"{updated_at}-{row_id}",
    )


def _read_cursor(cursor: str) -> tuple[int, int]:
    updated_at, dash, row_id = cursor.partition("-")
    if not (dash and _is_number(updated_at) and _is_number(row_id)):
        raise Refused(ErrorCode.BAD_ARGUMENT, f"before: {cursor!r} is not the cursor of a row")
    return int(updated_at), int(row_id)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18  # fits a BIGINT
