"""One error tree, and the tables of error codes and close codes.

::

    ZmqchatError
    ├── ConfigError      ours: the configuration is wrong; exit code 2
    ├── StartError       ours: a part could not start, as a port is in use; exit code 1
    ├── StoreUnavailable ours: the database does not answer
    ├── Refused          theirs: a client asked for something it may not have
    └── BadFrame         theirs: a peer or a stranger sent a frame that cannot be read

A client sees a `Refused` as ERROR (key 6) or as a REST answer with ``code: 0``; a `BadFrame`
is counted by its reason and dropped.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class ErrorCode(enum.StrEnum):
    """Stable words for what a client did wrong; `ERRORS` tells what each means."""

    BAD_JSON = "bad_json"
    BAD_EVENT = "bad_event"
    UNKNOWN_KEY = "unknown_key"
    BAD_NAME = "bad_name"
    BAD_ARGUMENT = "bad_argument"
    FORBIDDEN = "forbidden"
    EMPTY_MESSAGE = "empty_message"
    MESSAGE_TOO_LARGE = "message_too_large"
    CLIENT_ID_REUSED = "client_id_reused"
    NOT_STORED = "not_stored"
    SUPERSEDED = "superseded"
    BUSY = "busy"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class ErrorRow(NamedTuple):
    """What a code means: HTTP status, whether trying again can help, and in words."""

    status: int
    retryable: bool
    meaning: str


ERRORS: dict[ErrorCode, ErrorRow] = {
    ErrorCode.BAD_JSON: ErrorRow(400, False, "the text is not JSON"),
    ErrorCode.BAD_EVENT: ErrorRow(400, False, "the JSON is not an event: a field is wrong"),
    ErrorCode.UNKNOWN_KEY: ErrorRow(400, False, "no event has this key"),
    ErrorCode.BAD_NAME: ErrorRow(400, False, "a name or client id breaks the rules of names"),
    ErrorCode.BAD_ARGUMENT: ErrorRow(400, False, "an argument of the address is wrong"),
    ErrorCode.FORBIDDEN: ErrorRow(403, False, "this user may not do that"),
    ErrorCode.EMPTY_MESSAGE: ErrorRow(400, False, "nothing is left of the text when trimmed"),
    ErrorCode.MESSAGE_TOO_LARGE: ErrorRow(413, False, "the text is longer than allowed"),
    ErrorCode.CLIENT_ID_REUSED: ErrorRow(409, False, "this client id stands for another text"),
    ErrorCode.NOT_STORED: ErrorRow(422, False, "the database refused this message"),
    ErrorCode.SUPERSEDED: ErrorRow(409, True, "the user has logged in elsewhere since"),
    ErrorCode.BUSY: ErrorRow(503, True, "too many writes wait; try again"),
    ErrorCode.NOT_FOUND: ErrorRow(404, False, "there is nothing at this address"),
    ErrorCode.METHOD_NOT_ALLOWED: ErrorRow(405, False, "the address does not take this method"),
    ErrorCode.UNAVAILABLE: ErrorRow(503, True, "the database does not answer; try again"),
    ErrorCode.INTERNAL: ErrorRow(500, True, "a mistake of the server; its log tells more"),
}


class CloseCode(enum.IntEnum):
    """Why a WebSocket was closed; 4000 to 4499 ask to reconnect, 4500 to 4999 forbid it."""

    NORMAL = 1000
    GOING_AWAY = 1001
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    TOO_BIG = 1009
    SERVICE_RESTART = 1012
    DRAINING = 4000
    TOO_SLOW = 4001
    NO_PONG = 4003
    LOGGED_IN_ELSEWHERE = 4501
    PROTOCOL = 4503


CLOSE_MEANINGS: dict[CloseCode, str] = {
    CloseCode.NORMAL: "the page has reconnected; this connection is not needed any more",
    CloseCode.GOING_AWAY: "the page or the node goes away",
    CloseCode.UNSUPPORTED_DATA: "binary frames are not understood",
    CloseCode.INVALID_TEXT: "a text frame is not UTF-8",
    CloseCode.TOO_BIG: "a frame is larger than max_frame_bytes",
    CloseCode.SERVICE_RESTART: "the node restarts",
    CloseCode.DRAINING: "the node leaves; another one is there",
    CloseCode.TOO_SLOW: "the client reads too slowly; resume from the history",
    CloseCode.NO_PONG: "two pings stayed unanswered",
    CloseCode.LOGGED_IN_ELSEWHERE: "logged in elsewhere",
    CloseCode.PROTOCOL: "the name in the address breaks the rules of names",
}


def may_reconnect(code: int) -> bool:
    """Whether a client closed with this code should connect again by itself."""
    return not 4500 <= code <= 4999


class ZmqchatError(Exception):
    """The root of all errors of this package."""


class ConfigError(ZmqchatError):
    """The configuration is wrong; the text names the path and what was expected."""


class StartError(ZmqchatError):
    """A part could not start, for a reason that an operator can mend."""


class StoreUnavailable(ZmqchatError):  # noqa: N818 - a state of the store, said as one
    """The database does not answer, or refused for a reason that may pass."""


class Refused(ZmqchatError):  # noqa: N818 - what happened to the client, not a fault of ours
    """A client's request is refused: a stable code and a sentence for people.

    ``client_id`` is the client's own id of the message at hand, where it told one.
    """

    def __init__(self, code: ErrorCode, text: str, client_id: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.client_id = client_id

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return ERRORS[self.code].retryable


class BadFrame(ZmqchatError):  # noqa: N818 - names the thing that is bad
    """A mesh frame that cannot be read; ``reason`` is the label it is counted under."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"frame dropped: {reason}")
        self.reason = reason
