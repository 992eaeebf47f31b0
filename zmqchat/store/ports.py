"""The ports of the store: what keeps messages, and what they promise.

Every call may be made from the event loop; none waits for the database there. Answers of writes
come by a callback in the event loop's thread, answers of reads by ``await``. A database that does
not answer raises `StoreUnavailable` from a read, and keeps writes waiting while their queue has
room.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple, Protocol

import msgspec

from zmqchat.core.logins import Login
from zmqchat.errors import Refused
from zmqchat.wire.client import Message


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A message that is to be stored; checked by its sender's session already."""

    conversation: str  # the customer's account name
    author: str  # the account that really wrote
    by_desk: bool  # written by an agent
    sender: str
    receiver: str
    agent: str | None
    msg: str
    client_id: str | None
    login_epoch: int | None = None  # of the author's session, where the author may have only one


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A message that is committed; ``duplicate`` if it had been before this draft came."""

    message: Message
    duplicate: bool


Outcome = Stored | Refused


class Side(enum.Enum):
    """Whose read mark: a conversation has two."""

    CUSTOMER = "customer"
    DESK = "desk"


class Page(msgspec.Struct, frozen=True):
    """A part of a conversation, oldest first; ``has_more`` beyond it in the direction asked."""

    messages: list[Message]
    has_more: bool


class ConversationHead(msgspec.Struct, frozen=True, rename="camel"):
    """A row of the desk's list."""

    conversation: str
    last_seq: int
    customer_read_seq: int
    desk_read_seq: int
    unread: int  # messages the desk has not read: last_seq - desk_read_seq
    last_message: Message | None
    updated_at: str  # ISO 8601
    cursor: str  # ask for the next page with before=cursor


class ConversationState(NamedTuple):
    """Where a conversation stands."""

    conversation: str
    last_seq: int
    customer_read_seq: int
    desk_read_seq: int
    updated_at_ms: int  # when its newest message was stored, by the clock of `Messages.time_ms`


class NodeRecord(msgspec.Struct, frozen=True):
    """A row of the ``node`` table: where a node was last started."""

    number: int  # 1 to 1,023, given by the database, the same in every life of a name
    name: str
    incarnation: int  # which life; a newer one is larger
    http: str  # host:port it listens on, "" once it has left
    url: str  # what browsers use
    mesh: str  # endpoint of its PUB socket, "" if peers need none

    def session_name(self, number: int) -> str:
        """Name a session of this life so that no other in the cluster has the name, ever."""
        return f"{self.name}-{self.incarnation:x}-{number}"


class Messages(Protocol):
    """Writes and reads messages.

    A conversation's messages are numbered 1, 2, 3 … by the database; who sees a number is told
    after its commit. The same author and client id in a conversation is the same message: the
    first one is answered, as a duplicate, or `Refused` with ``client_id_reused`` if the text
    differs. A message the database refuses gets `Refused` with ``not_stored``, and one whose
    author has logged in since its ``login_epoch`` ``superseded``; others of its batch are not
    touched.
    """

    def append(self, draft: Draft, done: Callable[[Outcome], None]) -> bool:
        """Queue a message; ``done`` is called once after the commit. False: the queue is full."""

    def mark_read(
        self, conversation: str, side: Side, seq: int, done: Callable[[int | None], None]
    ) -> bool:
        """Raise a read mark to ``seq``, at most to the head.

        ``done`` gets the mark as it stands now, or None if it did not move (it was as high
        already, or there is no such conversation). False: the queue is full.
        """

    async def history(
        self,
        conversation: str,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = 200,
    ) -> Page:
        """The newest ``limit`` messages, or those next before or after a seq."""

    async def between(self, conversation: str, first: int, last: int) -> list[Message]:
        """Messages ``first`` to ``last``, oldest first; what is missing does not exist."""

    async def head(self, conversation: str, before_ms: int | None = None) -> int:
        """The highest seq of a conversation, 0 if it has none.

        With ``before_ms`` (milliseconds since 1970), of those created earlier than that.
        """

    async def time_ms(self) -> int:
        """The clock by which messages are stamped, milliseconds since 1970."""

    async def changed(self, since_ms: int, limit: int) -> list[ConversationState]:
        """Conversations with a message stored at ``since_ms`` or later, the oldest change first.

        A message is seen some time after its stamp: who asks again and again looks back a little.
        """

    async def states(self, conversations: Collection[str]) -> list[ConversationState]:
        """Where these conversations stand, as far as they exist."""


class Logins(Protocol):
    """Knows the newest login of each user who may have one session, and the cluster's secret."""

    async def log_in(
        self, user: str, session: str, *, continues: bool, node: int, incarnation: int
    ) -> Login:
        """Take the user's next login epoch, and return the user's newest login.

        That is this one, but for a login that ``continues`` an earlier one of the same
        ``session``: it takes no epoch if the newest login is another session's, which is then
        returned. Epochs are 1, 2, 3 …, each given once, in whatever process it is asked for.
        """

    async def newest_logins(self, users: Iterable[str]) -> list[Login]:
        """The newest logins of those of these users who ever logged in this way."""

    async def cluster_secret(self) -> bytes:
        """What the nodes sign with: made by the first who asks, the same for all."""


class Directory(Protocol):
    """Knows nodes and customers, and which database it is."""

    async def database_epoch(self) -> str:
        """Tell which life of the database this is: made by the first who asks, then the same."""

    async def register(self, name: str, *, http: str, url: str, mesh: str) -> NodeRecord:
        """Begin a new life of a node: its incarnation is higher than every one before."""

    async def announce(self, number: int, *, http: str, mesh: str) -> None:
        """Tell where a registered node is, once its endpoint is bound."""

    async def leave(self, number: int, incarnation: int) -> None:
        """Note that this life of a node is over; a newer one is not touched.

        When all numbers are given out, those of nodes that have left are given again.
        """

    async def nodes(self) -> list[NodeRecord]:
        """All nodes that ever registered."""

    async def customers(self, limit: int = 1000) -> list[str]:
        """Names of the customers who have written, the newest first; all with ``limit`` 0."""

    async def conversations(self, *, before: str | None, limit: int) -> list[ConversationHead]:
        """Conversations by their last change, newest first; ``before`` is a row's cursor."""

    async def problems(self) -> dict[str, str | None]:
        """Tell what is checked of the database, and what is wrong with it (None: nothing)."""
