"""The WebSocket of one user: events in, the session's outbox out.

Whatever a client sends wrong is answered by an ERROR and the connection lives on; only what
breaks the WebSocket protocol itself closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from tornado.httputil import HTTPServerRequest
from tornado.iostream import StreamClosedError
from tornado.web import Application
from tornado.websocket import WebSocketHandler, WebSocketProtocol

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
from zmqchat.web.batched import BatchedWebSocket
from zmqchat.web.presence import tell_presence
from zmqchat.web.services import Services
from zmqchat.web.sockets import Sockets
from zmqchat.wire.client import (
    PROTOCOL_V1,
    Key,
    MarkRead,
    Resume,
    ResumeHeads,
    Send,
    Welcome,
    decode_event,
    encode_error,
    encode_ping,
    encode_welcome,
)
from zmqchat.wire.mesh import MAX_FRAME_BYTES, State
from zmqchat.wire.proofs import offered_proof
from zmqchat.wire.websocket import text_frame

log = logging.getLogger(__name__)

PAGE_PING_MS = 10_000  # how often a page is asked to send PING
MAX_MISSED_PONGS = 2
MAX_REASON_BYTES = 123  # a control frame has 125 bytes, and the code takes two
NO_CLOSE_FRAME = 1006  # what browsers report when a connection ends without one
PING_FRAME = text_frame(encode_ping())


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
        except BaseException:
            self._services.takeovers.close(session)
            raise
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
            database_epoch=self._services.database_epoch,
            time=self._services.clock.now_ms(),
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
            elif isinstance(event, Resume | ResumeHeads):
                self._services.resumes.ask(session, event)
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
        self._services.resumes.close(session)
        self._services.delivery.close(session)
        self._services.takeovers.close(session)
        if self._sockets.remove(session.number):  # it had begun to talk
            self._services.gossip.close(session)


def _seen(written: asyncio.Future[None]) -> None:
    """Look at how a write ended that nobody waits for."""
    if not written.cancelled():
        written.exception()
