"""The shape of every REST answer, and who may ask.

Answers are ``{"code": 1, "msg": "…", "data": …}``; a refused request has ``code`` 0, the HTTP
status that fits and the stable word in ``error``.
"""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any

import msgspec
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler

from zmqchat.errors import ERRORS, ErrorCode, Refused, StoreUnavailable
from zmqchat.names import check_name
from zmqchat.web.services import Services

log = logging.getLogger(__name__)

MAX_DIGITS = 19  # of a BIGINT

_encode = msgspec.json.Encoder().encode
_CODE_OF_STATUS = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}


class AnswerHandler(RequestHandler):
    """A handler whose answers, and refusals, are JSON."""

    def __init__(
        self, application: Application, request: HTTPServerRequest, *, services: Services
    ) -> None:
        super().__init__(application, request)
        self.services = services

    def set_default_headers(self) -> None:
        """Say what holds for every answer."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")

    def prepare(self) -> None:
        """Refuse pages of foreign origins; let those of the other nodes read the answer."""
        origin = self.request.headers.get("Origin")
        if origin is None:
            return
        if not self.services.origins.allows(origin):
            raise Refused(ErrorCode.FORBIDDEN, f"pages of {origin[:200]!r} may not use this server")
        self.set_header("Access-Control-Allow-Origin", origin)
        self.set_header("Vary", "Origin")

    def answer(self, data: object, **beside: object) -> None:
        """Answer with data, and what stands beside it."""
        self.finish(_encode({"code": 1, "msg": "ok", "data": data, **beside}))

    def refuse(self, code: ErrorCode, text: str, data: object = None) -> None:
        """Answer that a request is refused, and why."""
        self.set_status(ERRORS[code].status)
        self.finish(_encode({"code": 0, "msg": text, "data": data, "error": code}))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Turn what a handler raised into an answer."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, Refused):
            self.refuse(error.code, error.text)
        elif isinstance(error, StoreUnavailable):
            self.refuse(ErrorCode.UNAVAILABLE, str(error))
        elif isinstance(error, HTTPError) and status_code < 500:
            code = _CODE_OF_STATUS.get(status_code, ErrorCode.BAD_ARGUMENT)
            self.refuse(code, error.log_message or ERRORS[code].meaning)
            self.set_status(status_code)
        else:
            self.refuse(ErrorCode.INTERNAL, ERRORS[ErrorCode.INTERNAL].meaning)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log what is our fault; what a client did wrong was answered."""
        if isinstance(value, StoreUnavailable):
            log.warning("%s %s: %s", self.request.method, self.request.path, value)
        elif not isinstance(value, Refused):
            super().log_exception(typ, value, tb)

    # Arguments.

    def number(self, name: str, low: int, high: int) -> int | None:
        """Return an argument as a number within bounds, None if it is missing."""
        text = self.get_query_argument(name, None)
        if text is None or text == "":
            return None
        digits = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
        if not digits or not low <= int(text) <= high:
            shown = text[:MAX_DIGITS]
            raise Refused(
                ErrorCode.BAD_ARGUMENT, f"{name}: expected a number {low} to {high}, got {shown!r}"
            )
        return int(text)

    def limit(self, default: int, highest: int) -> int:
        """Return how many rows are asked for."""
        found = self.number("limit", 1, highest)
        return default if found is None else found


class NothingHere(AnswerHandler):
    """Every address that is none."""

    def prepare(self) -> None:
        """Refuse."""
        raise Refused(ErrorCode.NOT_FOUND, f"nothing at {self.request.path}")


def checked_user(name: str) -> str:
    """Check a name in an address."""
    return check_name(name, "user name")
