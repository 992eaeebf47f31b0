"""The WebSocket of one user: events in, the session's outbox out.

Whatever a client sends wrong is answered by an ERROR and the connection lives on; only what
breaks the WebSocket protocol itself closes it.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import random
import time
from collections.abc import Callable, Sequence

from tornado.httputil import HTTPServerRequest
from tornado.iostream import StreamClosedError
from tornado.web import Application
from tornado.websocket import WebSocketHandler, WebSocketProtocol

from zmqchat.core.roster import Change
from zmqchat.core.sessions import Session
from zmqchat.errors import (
    CLOSE_MEANINGS,
    ERRORS,
    CloseCode,
    ErrorCode,
    Refused,
    StoreUnavailable,
)
from zmqchat.names import name_problem
from zmqchat.store.ports import NodeRecord
from zmqchat.web.batched import BatchedWebSocket
from zmqchat.web.services import Services
from zmqchat.wire.client import (
    PROTOCOL_V1,
    Key,
    MarkRead,
    PresenceChange,
    Send,
    Welcome,
    decode_event,
    encode_drain,
    encode_error,
    encode_ping,
    encode_presence_change,
    encode_presence_lists,
    encode_welcome,
)
from zmqchat.wire.mesh import MAX_FRAME_BYTES, State
from zmqchat.wire.proofs import offered_proof
from zmqchat.wire.websocket import text_frame

log = logging.getLogger(__name__)

PAGE_PING_MS = 10_000  # how often a page is asked to send PING
RFC_PING_S = 30.0  # how often silent clients are pinged
MAX_MISSED_PONGS = 2
LIST_LIMIT = 1000  # names in the lists of the original's clients
DRAINED_A_SECOND = 200  # clients that other nodes are asked to take
LEAST_DRAIN_S, MOST_DRAIN_S = 0.2, 4.0
CLOSING_S = 1.0  # how long clients may take to end their side when the node stops
MAX_REASON_BYTES = 123  # a control frame has 125 bytes, and the code takes two
NO_CLOSE_FRAME = 1006  # what browsers report when a connection ends without one
PING_FRAME = text_frame(encode_ping())


class Sockets:
    """All open sockets of a node: written once per wake-up, pinged, told of presence, closed."""

    def __init__(self) -> None:
        self._open: dict[int, ChatSocket] = {}
        self._dirty: list[ChatSocket] = []
        self._numbers = 0
        self._emptied: asyncio.Event | None = None  # waited for when the node stops
        self.closes: collections.Counter[str] = collections.Counter()  # by close code

    def next_number(self) -> int:
        """Give a session its number."""
        self._numbers += 1
        return self._numbers

    def add(self, number: int, socket: ChatSocket) -> None:
        """Note an open socket."""
        self._open[number] = socket

    def remove(self, number: int) -> bool:
        """Note a closed one; False if it never was open."""
        was_open = self._open.pop(number, None) is not None
        if self._emptied is not None and not self._open:
            self._emptied.set()
        return was_open

    def closed(self, code: int) -> None:
        """Count a close; what clients make up themselves is counted together."""
        known = code in CLOSE_MEANINGS or 1000 <= code < 1016
        self.closes[str(code) if known else "other"] += 1

    def wake(self, socket: ChatSocket) -> None:
        """Write a socket's outbox when everything of this wake-up has been put into it."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(socket)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for socket in dirty:
            socket.write_outbox()

    async def keep_pinging(self) -> None:
        """Ping silent clients until cancelled; close those that do not answer."""
        while True:
            await asyncio.sleep(RFC_PING_S)
            for socket in list(self._open.values()):
                socket.check_alive()

    async def drain(self, elsewhere: Callable[[], NodeRecord | None], rng: random.Random) -> None:
        """Send the clients of v1 to other nodes, one after the other, and wait until they went.

        Who does not go in time, or does not know how to, is left to `close_all`.
        """
        moving = [socket for socket in self._open.values() if socket.speaks_v1]
        window_s = min(max(len(moving) / DRAINED_A_SECOND, LEAST_DRAIN_S), MOST_DRAIN_S)
        told = 0
        for socket in moving:
            if (node := elsewhere()) is not None:
                told += 1
                after_ms = int(rng.uniform(0, window_s) * 1000)
                socket.push(text_frame(encode_drain(node.name, node.url, after_ms)))
        if told:
            await self._wait_until_empty(window_s + CLOSING_S)

    async def _wait_until_empty(self, seconds: float) -> None:
        if self._open:
            self._emptied = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._emptied.wait()

    async def close_all(self, code: CloseCode) -> None:
        """Write what waits, close every socket, and give the clients a moment to take it."""
        self._flush()
        for socket in list(self._open.values()):
            socket.end_when_written(code)
        await self._wait_until_empty(CLOSING_S)

    def __len__(self) -> int:
        return len(self._open)


class ChatSocket(WebSocketHandler):
    """One WebSocket: ``/websocket/mq/chat/{userName}``."""

    def __init__(
        self,
        application: Application,
        request: HTTPServerRequest,
        *,
        services: Services,
        sockets: Sockets,
    ) -> None:
        super().__init__(application, request)
        self._services = services
        self._sockets = sockets
        self._session: Session | None = None
        self._writing = False
        self._heard = True
        self._missed_pongs = 0
        self._ended_with: CloseCode | None = None
        self._end_after_writing: CloseCode | None = None

    # The handshake.

    def get_websocket_protocol(self) -> WebSocketProtocol | None:
        """Use our own reader; None refuses old versions of the protocol."""
        if self.request.headers.get("Sec-WebSocket-Version") != "13":
            return None
        return BatchedWebSocket(self, self, MAX_FRAME_BYTES)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Speak v1 with whoever offers it."""
        return PROTOCOL_V1 if PROTOCOL_V1 in subprotocols else None

    def check_origin(self, origin: str) -> bool:
        """Let pages of all nodes and of the allowed origins in."""
        return self._services.origins.allows(origin)

    async def get(self, user: str) -> None:
        """Shake hands, and serve until the connection ends."""
        origin = self.request.headers.get("Origin")
        if origin is not None and not self.check_origin(origin):
            self.set_status(ERRORS[ErrorCode.FORBIDDEN].status)
            self.finish(f"pages of {origin[:200]!r} may not use this server")
            return
        try:
            await super().get(user)
        finally:
            self._leave()

    async def admit(self) -> bool:
        """Log the user in and follow the conversation; False if the database does not answer."""
        user = self.open_args[0]
        if name_problem(user) is not None:
            return True  # `open` tells why it goes no further
        if (state := self._services.gossip.state) is not State.UP:
            self.set_status(ERRORS[ErrorCode.UNAVAILABLE].status)
            self.finish(f"this node is {'starting' if state is State.JOINING else 'leaving'}")
            return False
        session = self._new_session(user)
        try:
            await self._log_in(session)
            await self._services.delivery.open(session)
        except StoreUnavailable as error:
            self._services.takeovers.close(session)
            log.warning("%s cannot connect: %s", user, error)
            self.set_status(ERRORS[ErrorCode.UNAVAILABLE].status)
            self.finish(str(error))
            return False
        self._session = session
        return True

    def _new_session(self, user: str) -> Session:
        return Session(
            self._sockets.next_number(),
            user,
            agent=user == self._services.desk,
            v1=self._offers_v1(),
            wake=self._wake,
            drain=self.write_outbox,
            end=self._end_session,
        )

    def _offers_v1(self) -> bool:
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        return self.select_subprotocol([name.strip() for name in offered]) == PROTOCOL_V1

    async def _log_in(self, session: Session) -> None:
        """Log in, and greet a client of v1; raise `StoreUnavailable`."""
        proof = offered_proof(self.request.headers.get("Sec-WebSocket-Protocol", ""))
        continue_ = await self._services.takeovers.log_in(session, proof)
        if session.v1 and self._ended_with is None:
            session.push(self._welcome(session, continue_))

    async def open(self, user: str) -> None:
        """Begin to talk, and tell the cluster."""
        session = self._session
        if session is None:
            self.end(CloseCode.PROTOCOL, name_problem(user))
            return
        if self._ended_with is not None:  # by a newer login, while this one was under way
            self._end_session(self._ended_with)
            return
        self.set_nodelay(True)
        self._sockets.add(session.number, self)
        self._services.gossip.open(session)
        self._wake()
        if session.agent:
            self._services.gossip.tell_now()  # what it is told next follows from this list
            await tell_presence(self._services, [session], Key.OPEN, None)

    def _welcome(self, session: Session, continue_: str | None) -> bytes:
        peers = self._services.peers
        welcome = Welcome(
            node=peers.own.name,
            nodes=peers.live_urls(),
            session=peers.own.session_name(session.number),
            continue_=continue_,
            user=session.user,
            role="agent" if session.agent else "customer",
            ping_interval_ms=PAGE_PING_MS,
            time=time.time_ns() // 1_000_000,
        )
        return text_frame(encode_welcome(welcome))

    # In.

    def on_heard(self) -> None:
        """Note a sign of life."""
        self._heard = True

    def on_text(self, payload: bytes) -> None:
        """Take an event, or answer what is wrong with it."""
        session = self._session
        if session is None:
            return
        try:
            event = decode_event(payload)
            if isinstance(event, Send):
                self._services.delivery.send(session, event)
            elif isinstance(event, MarkRead):
                self._services.delivery.mark_read(session, event)
            else:
                session.push(PING_FRAME)
        except Refused as refused:
            session.push(text_frame(encode_error(refused)))

    def on_message(self, message: str | bytes) -> None:
        """Never called: `BatchedWebSocket` hands messages to `on_text`."""
        raise NotImplementedError

    def check_alive(self) -> None:
        """Ping a client that was silent since the last check; close it after two in vain."""
        if self._heard:
            self._heard, self._missed_pongs = False, 0
        elif self._missed_pongs >= MAX_MISSED_PONGS:
            self.end(CloseCode.NO_PONG)
        else:
            self._missed_pongs += 1
            if self.ws_connection is not None and not self.ws_connection.is_closing():
                self.ping()

    # Out.

    @property
    def speaks_v1(self) -> bool:
        """Whether the client understands DRAIN."""
        return self._session is not None and self._session.v1

    def push(self, event: bytes) -> None:
        """Queue an event for this client alone."""
        if self._session is not None:
            self._session.push(event)

    def _wake(self) -> None:
        if not self._writing:
            self._sockets.wake(self)

    def write_outbox(self) -> None:
        """Write everything that waits with one call, unless the last write is still under way."""
        connection, session = self.ws_connection, self._session
        if session is None or not isinstance(connection, BatchedWebSocket) or self._writing:
            return
        if connection.is_closing() or not (piece := session.outbox.take()):
            return
        try:
            written = connection.stream.write(piece)
        except StreamClosedError:
            return
        if connection.stream.writing():
            # The client reads more slowly than we write: what comes meanwhile waits in the
            # outbox, which is bounded.
            self._writing = True
            written.add_done_callback(self._written)

    def _written(self, future: asyncio.Future[None]) -> None:
        self._writing = False
        if not future.cancelled() and future.exception() is None:
            self.write_outbox()
            if self._end_after_writing is not None and not self._writing:
                self.end(self._end_after_writing)

    # The end.

    def _end_session(self, code: CloseCode) -> None:
        """End the session with its last events, but for a client that is too slow for them."""
        session = self._session
        if session is None:  # it is not admitted yet: see `open`
            self._ended_with = code
            return
        self._leave()
        if code is not CloseCode.TOO_SLOW:
            self._write_last(session)
        self.end(code)

    def _write_last(self, session: Session) -> None:
        connection = self.ws_connection
        piece = session.outbox.take()
        if not (piece and isinstance(connection, BatchedWebSocket)) or connection.is_closing():
            return
        with contextlib.suppress(StreamClosedError):
            # Behind what may still be under way; the outbox was bounded, and nothing follows.
            connection.stream.write(piece).add_done_callback(_seen)

    def end(self, code: CloseCode, reason: str | None = None) -> None:
        """Close with a code of ours, and the reason in words."""
        self._ended_with = code
        text = (reason or CLOSE_MEANINGS[code]).encode()[:MAX_REASON_BYTES]
        self.close(code, text.decode(errors="ignore"))

    def end_when_written(self, code: CloseCode) -> None:
        """Close once the client has taken what waits for it."""
        if self._writing:
            self._end_after_writing = code
        else:
            self.end(code)

    def on_close(self) -> None:
        """End the session."""
        code = self._ended_with or self.close_code or NO_CLOSE_FRAME
        self._sockets.closed(code)
        self._leave()

    def _leave(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        self._services.delivery.close(session)
        self._services.takeovers.close(session)
        if self._sockets.remove(session.number):  # it had begun to talk
            self._services.gossip.close(session)


def _seen(written: asyncio.Future[None]) -> None:
    """Look at how a write ended that nobody waits for."""
    if not written.cancelled():
        written.exception()


async def tell_presence(
    services: Services, sessions: Sequence[Session], key: Key, change: Change | None
) -> None:
    """Send OPEN or CLOSE to agents: a change to those of v1, whole lists to the others.

    The lists of the others tell nothing of doubt: who is unknown is in them.
    """
    online = services.gossip.roster.users
    version = services.gossip.roster.version
    # Without a change the event says only where the list stands: a v1 client reads it over REST.
    change = change or Change([], [], [], version, listed=True)
    event = PresenceChange(
        key, change.opened, change.closed, change.unknown, len(online), change.version
    )
    v1_event = text_frame(encode_presence_change(event))
    for session in sessions:
        if session.v1:
            session.push(v1_event)
    if not change.listed or all(session.v1 for session in sessions):
        return
    try:
        written = await services.directory.customers(LIST_LIMIT)
    except StoreUnavailable as error:
        log.warning("cannot read who has written: %s", error)
        written = []
    newest = list(online)[-LIST_LIMIT:][::-1]
    lists = text_frame(encode_presence_lists(key, newest, written, len(online)))
    for session in sessions:
        if not session.v1:
            session.push(lists)
