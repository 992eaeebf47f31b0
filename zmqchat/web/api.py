"""The REST calls: the original's three, the desk's lists, and what operators watch."""

from __future__ import annotations

import asyncio
import heapq
from urllib.parse import quote

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from zmqchat.errors import ErrorCode, Refused
from zmqchat.web.answers import AnswerHandler, checked_user

HISTORY_DEFAULT, HISTORY_MOST = 200, 500
LIST_DEFAULT, LIST_MOST = 200, 1000
USERS_MOST = 10_000
MAX_SEQ = 2**63 - 1
DATABASE_TIMEOUT_S = 2.0


class WebSocketAddress(AnswerHandler):
    """``/chatMsg/getWebSocketAddress/{username}``: where a client should connect."""

    async def get(self, user: str) -> None:
        """Answer with an address on the less loaded of two live nodes."""
        name = checked_user(user)
        services = self.services
        url = services.peers.less_loaded(services.gossip.presence.own_sessions)
        address = url.replace("http", "ws", 1).rstrip("/")
        self.answer(f"{address}/websocket/mq/chat/{quote(name, safe='')}")


class History(AnswerHandler):
    """``/chatMsg/getHistoryChat/{username}``: a conversation, oldest first."""

    async def get(self, user: str) -> None:
        """Answer with the newest messages, or those next before or after a seq."""
        before = self.number("before", 1, MAX_SEQ)
        after = self.number("after", 0, MAX_SEQ)
        if before is not None and after is not None:
            raise Refused(ErrorCode.BAD_ARGUMENT, "before and after exclude each other")
        page = await self.services.messages.history(
            checked_user(user),
            before=before,
            after=after,
            limit=self.limit(HISTORY_DEFAULT, HISTORY_MOST),
        )
        self.answer(page.messages, hasMore=page.has_more)


class UserList(AnswerHandler):
    """``/chatMsg/getUserList``: names of the customers who have written, the newest first."""

    async def get(self) -> None:
        """Answer with all of them, as the original does, up to a number it never had in mind."""
        self.answer(await self.services.directory.customers(USERS_MOST))


class Online(AnswerHandler):
    """``/api/online``: names of the customers online in the cluster, in the order of names."""

    async def get(self) -> None:
        """Answer with those after a name."""
        after = self.get_query_argument("after", "")
        limit = self.limit(LIST_DEFAULT, LIST_MOST)
        gossip = self.services.gossip
        gossip.tell_now()  # who is listed but leaves before being announced would never be closed
        online = gossip.presence.online
        names = heapq.nsmallest(limit + 1, (name for name in online if name > after))
        self.answer(
            names[:limit],
            hasMore=len(names) > limit,
            online=len(online),
            listVersion=gossip.roster.version,
        )


class Conversations(AnswerHandler):
    """``/api/conversations``: the desk's list, the last changed first."""

    async def get(self) -> None:
        """Answer with those before a cursor."""
        limit = self.limit(LIST_DEFAULT, LIST_MOST)
        before = self.get_query_argument("before", None) or None
        version = self.services.gossip.roster.version
        rows = await self.services.directory.conversations(before=before, limit=limit + 1)
        self.answer(rows[:limit], hasMore=len(rows) > limit, listVersion=version)


class Live(AnswerHandler):
    """``/livez``: the event loop turns."""

    async def get(self) -> None:
        """Answer that it does, by answering."""
        self.answer("alive")


class Ready(AnswerHandler):
    """``/readyz``: clients may be sent here."""

    async def get(self) -> None:
        """Answer 200, or 503 with what is wrong."""
        services = self.services
        checks = {**services.readiness(), **await self._database_problems()}
        details = {
            "node": services.peers.own.name,
            "database": services.database,
            "checks": {name: problem or "ok" for name, problem in checks.items()},
        }
        wrong = [f"{name}: {problem}" for name, problem in checks.items() if problem]
        if wrong:
            self.refuse(ErrorCode.UNAVAILABLE, "; ".join(wrong), details)
        else:
            self.answer(details)

    async def _database_problems(self) -> dict[str, str | None]:
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S):
                return await self.services.directory.problems()
        except TimeoutError:
            return {"database": f"no answer within {DATABASE_TIMEOUT_S:g} s"}


class Metrics(AnswerHandler):
    """``/metrics``: counters for Prometheus."""

    async def get(self) -> None:
        """Answer in Prometheus' text format."""
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(generate_latest(self.services.registry))
