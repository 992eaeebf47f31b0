"""What the desk's clients are told of who is online."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from zmqchat.core.roster import Change
from zmqchat.core.sessions import Session
from zmqchat.errors import StoreUnavailable
from zmqchat.web.services import Services
from zmqchat.wire.client import (
    Key,
    PresenceChange,
    encode_presence_change,
    encode_presence_lists,
)
from zmqchat.wire.websocket import text_frame

log = logging.getLogger(__name__)

LIST_LIMIT = 1000  # names in the lists of the original's clients


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
