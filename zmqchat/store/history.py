"""Reads of messages: pages of a conversation, ranges of it, and where conversations stand."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any

from zmqchat.store.models import MESSAGE_ROW, Conversation, Message, MessageRow
from zmqchat.store.ports import ConversationState, Page
from zmqchat.store.readers import Readers
from zmqchat.wire import client

_MAX_BIGINT = 2**63 - 1
_NAMES_AT_ONCE = 500  # of the 32,766 values that a statement may have


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

    async def changed(self, since_ms: int, limit: int) -> list[ConversationState]:
        """Conversations that got a message since then."""
        query = _states().where(Conversation.updated_at >= _bounded(since_ms))
        return await self._read_states(
            query.order_by(Conversation.updated_at, Conversation.id).limit(limit)
        )

    async def states(self, conversations: Collection[str]) -> list[ConversationState]:
        """These conversations, read some hundred at a time."""
        found: list[ConversationState] = []
        names = list(conversations)
        for start in range(0, len(names), _NAMES_AT_ONCE):
            some = names[start : start + _NAMES_AT_ONCE]
            found += await self._read_states(_states().where(Conversation.customer.in_(some)))
        return found

    async def _read_states(self, query: Any) -> list[ConversationState]:
        rows = await self._readers.run(lambda: list(query.tuples().bind(self._readers.database)))
        return [ConversationState._make(row) for row in rows]


def _states() -> Any:
    return Conversation.select(
        Conversation.customer,
        Conversation.last_seq,
        Conversation.customer_read_seq,
        Conversation.desk_read_seq,
        Conversation.updated_at,
    )


def _messages(conversation: str) -> Any:
    return (
        Message.select(*MESSAGE_ROW).join(Conversation).where(Conversation.customer == conversation)
    )


def _bounded(number: int) -> int:
    """Bring a number from outside into what the database can compare."""
    return max(0, min(number, _MAX_BIGINT))
