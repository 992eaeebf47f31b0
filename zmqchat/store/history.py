"""Reads of messages: pages of a conversation, ranges of it, and its head."""

from __future__ import annotations

import functools
from typing import Any

from zmqchat.store.models import MESSAGE_ROW, Conversation, Message, MessageRow
from zmqchat.store.ports import Page
from zmqchat.store.readers import Readers
from zmqchat.wire import client

_MAX_BIGINT = 2**63 - 1


class History:
    """Reads messages in the readers' threads; see `ports.Messages` for what each promises."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def history(
        self, conversation: str, *, before: int | None, after: int | None, limit: int
    ) -> Page:
        """A page of at most ``limit`` messages; with both bounds, those next to ``after``."""
        if limit < 1:
            raise ValueError(f"limit {limit}; expected at least 1")
        return await self._readers.run(
            functools.partial(self._page, conversation, before, after, limit)
        )

    def _page(self, conversation: str, before: int | None, after: int | None, limit: int) -> Page:
        forward = after is not None
        query = _messages(conversation).limit(limit + 1)  # one more tells whether there is more
        if before is not None:
            query = query.where(Message.seq < _bounded(before))
        if after is not None:
            query = query.where(Message.seq > _bounded(after))
        found = self._read(query.order_by(Message.seq if forward else Message.seq.desc()))
        messages = found[:limit] if forward else found[:limit][::-1]
        return Page(messages, has_more=len(found) > limit)

    async def between(self, conversation: str, first: int, last: int) -> list[client.Message]:
        """Messages ``first`` to ``last``."""
        query = _messages(conversation).where(Message.seq.between(_bounded(first), _bounded(last)))
        return await self._readers.run(functools.partial(self._read, query.order_by(Message.seq)))

    def _read(self, query: Any) -> list[client.Message]:
        rows = query.tuples().bind(self._readers.database)
        return [MessageRow._make(row).to_message() for row in rows]

    async def head(self, conversation: str, before_ms: int | None) -> int:
        """The highest seq, or the highest of what is older than ``before_ms``."""
        query: Any = Conversation.select(Conversation.last_seq)
        if before_ms is not None:
            query = (
                Message.select(Message.seq)
                .join(Conversation)
                .where(Message.create_time < _bounded(before_ms))
                .order_by(Message.seq.desc())
                .limit(1)
            )
        query = query.where(Conversation.customer == conversation).tuples()
        rows = await self._readers.run(lambda: list(query.bind(self._readers.database)))
        return rows[0][0] if rows else 0


def _messages(conversation: str) -> Any:
    return (
        Message.select(*MESSAGE_ROW).join(Conversation).where(Conversation.customer == conversation)
    )


def _bounded(number: int) -> int:
    """Bring a number from outside into what the database can compare."""
    return max(0, min(number, _MAX_BIGINT))
