"""One session for users whose role allows one: logins, the news of them, and those who have to go.

Stands between the sockets, the store, which gives login epochs, and the bus, which tells them. Who
goes is decided by `core.logins`; the news of a login may come over the bus, from the database when
this node looks again, or from next door.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from zmqchat.config import SessionRules
from zmqchat.core.logins import Farewell, Login, SingleSessions
from zmqchat.core.sessions import Session
from zmqchat.errors import StoreUnavailable
from zmqchat.mesh.bus import Bus
from zmqchat.store.ports import Logins, NodeRecord
from zmqchat.tasks import Tasks
from zmqchat.wire.client import encode_re_open, iso_time
from zmqchat.wire.mesh import Header, Takeover
from zmqchat.wire.proofs import Proofs
from zmqchat.wire.websocket import text_frame

log = logging.getLogger(__name__)

REPEAT_AFTER_S = (0.0, 0.2, 0.8)  # a frame may be lost, so a login is told more than once
AUDIT_S = 30.0  # how long a session may stay that no frame told to go


class Takeovers:
    """Logs sessions in, and sends away those of this node that a newer login has replaced.

    ``name_of`` tells a node's name by its number, ``wall_ms`` milliseconds since 1970.
    """

    def __init__(
        self,
        logins: Logins,
        bus: Bus,
        own: NodeRecord,
        rules: SessionRules,
        secret: bytes,
        *,
        name_of: Callable[[int], str],
        wall_ms: Callable[[], int],
        audit_s: float = AUDIT_S,
    ) -> None:
        self._logins = logins
        self._bus = bus
        self._own = own
        self._single = {True: rules.agent == "one", False: rules.customer == "one"}  # by agent
        self._proofs = Proofs(secret)
        self._name_of = name_of
        self._wall_ms = wall_ms
        self._audit_s = audit_s
        self._held = SingleSessions()
        self._soon = asyncio.Event()
        self._tasks = Tasks()

    async def log_in(self, session: Session, proof: str | None) -> str | None:
        """Log a session in, and return the proof by which its page may go on with the login.

        None, and no login, where the user may have many. A page that goes on with a login which
        somebody else has replaced meanwhile is sent away, as it would have been there. To be
        awaited before the client learns that it is connected; raise `StoreUnavailable`.
        """
        if not self._single[session.agent]:
            return None
        proven = None if proof is None else self._proofs.check(session.user, proof)
        own = self._own
        name = proven or own.session_name(session.number)
        login = await self._logins.log_in(
            session.user,
            name,
            continues=proven is not None,
            node=own.number,
            incarnation=own.incarnation,
        )
        if login.session != name:
            self._send_away([(session, Farewell.TAKEN_OVER)], login)
            return None
        session.login_epoch = login.epoch
        self._send_away(self._held.add(session, login), login)
        if login.epoch > 1:
            self._tasks.spawn(self._tell(login))
        return self._proofs.make(session.user, name)

    def close(self, session: Session) -> None:
        """Forget a session, whether it has logged in or not."""
        self._held.remove(session)

    def on_takeover(self, header: Header, takeover: Takeover) -> None:
        """Take a peer's news of a login."""
        self._on_login(Login(takeover.user, takeover.login_epoch, takeover.session, header.node))

    def audit_soon(self) -> None:
        """Look into the database at once, since a session here is known to be replaced."""
        self._soon.set()

    async def keep_auditing(self) -> None:
        """Look for logins that no frame told of, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._audit_s):
                    await self._soon.wait()
            except TimeoutError:
                pass
            self._soon.clear()
            try:
                logins = await self._logins.newest_logins(self._held.users)
            except StoreUnavailable as error:
                log.warning("cannot read who has logged in: %s", error)
                continue
            for login in logins:
                self._on_login(login)

    async def stop(self) -> None:
        """Tell no more of logins."""
        await self._tasks.cancel()

    def _on_login(self, login: Login) -> None:
        self._send_away(self._held.on_login(login), login)

    def _send_away(self, leaving: Iterable[tuple[Session, Farewell]], newest: Login) -> None:
        for session, farewell in leaving:
            if farewell is Farewell.TAKEN_OVER:
                now = iso_time(self._wall_ms())
                session.push(text_frame(encode_re_open(self._name_of(newest.node), now)))
            session.end(farewell.code)

    async def _tell(self, login: Login) -> None:
        takeover = Takeover(login.user, login.epoch, login.session)
        for pause_s in REPEAT_AFTER_S:
            await asyncio.sleep(pause_s)
            self._bus.publish_control(takeover)
