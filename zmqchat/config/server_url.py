"""The address of a database server: ``mysql://user@host:port/name?option=value``.

The password is no part of it, so that an address can be printed.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

SCHEMES = ("mysql", "mariadb")  # two names of one protocol
FORM = "mysql://user@host[:port]/name[?option=value]"
DEFAULT_PORT = 3306

# Each takes the absolute path of a file, but for the last.
OPTIONS = ("socket", "ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_identity")


class ServerUrl(NamedTuple):
    """Where a database is; the certificates are PEM files."""

    scheme: str
    user: str
    host: str
    port: int
    name: str
    socket: str | None = None  # of this machine, instead of host and port
    ssl_ca: str | None = None  # who must have signed the server's certificate; asks for TLS
    ssl_cert: str | None = None  # shown to the server, with its key
    ssl_key: str | None = None
    ssl_verify_identity: bool = True  # the certificate must be for this host

    def __str__(self) -> str:
        place = self.socket or f"{self.host}:{self.port}"
        return f"{self.scheme}://{self.user}@{place}/{self.name}"


def is_one(text: str) -> bool:
    """Whether a text means to be such an address; `parse` tells what may be wrong with it."""
    return text.partition(":")[0] in SCHEMES


def parse(text: str) -> ServerUrl:
    """Read an address, or raise ValueError that tells what is wrong.

    What is told never shows the address itself: a part of it may be a password after all.
    """
    if not text.isprintable():
        raise ValueError(f"expected {FORM}, without control characters")
    try:
        parts = urlsplit(text)
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError(f"expected {FORM}; host or port is none") from None
    if parts.password is not None:
        raise ValueError("the password belongs into ZMQCHAT_DB_PASSWORD, not into the address")
    name = unquote(parts.path.removeprefix("/"))
    if not (parts.username and parts.hostname and name) or "/" in name or parts.fragment:
        raise ValueError(f"expected {FORM}; user, host or name is missing or wrong")
    return ServerUrl(
        parts.scheme,
        unquote(parts.username or ""),
        parts.hostname or "",
        port,
        name,
        **_options(parts),  # type: ignore[arg-type]  # each is of the type of its field
    )


def _options(parts: SplitResult) -> dict[str, str | bool]:
    options: dict[str, str | bool] = {}
    for option, value in parse_qsl(parts.query, keep_blank_values=True):
        if option not in OPTIONS:
            raise ValueError(f"unknown option {option}; expected one of {', '.join(OPTIONS)}")
        if option == "ssl_verify_identity":
            if value not in ("true", "false"):
                raise ValueError(f"{option}: expected true or false, got {value}")
            options[option] = value == "true"
        elif not value.startswith("/"):
            raise ValueError(f"{option}: expected an absolute path, got {value or 'nothing'}")
        else:
            options[option] = value
    if ("ssl_cert" in options) != ("ssl_key" in options):
        raise ValueError("ssl_cert and ssl_key go together")
    if "ssl_ca" not in options and any(option.startswith("ssl") for option in options):
        raise ValueError("ssl_ca is missing: without it the server is not known by a certificate")
    return options
