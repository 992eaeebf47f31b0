"""What one value of nodes.yaml may look like: in words for people, and as a check.

A form knows a single text and nothing around it; what must hold between values is in `rules`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple

from zmqchat.config import server_url
from zmqchat.names import MAX_NAME_CHARS, name_problem

_HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"({_HOST}):([0-9]{{1,5}})")
_ORIGIN = re.compile(rf"(https?)://({_HOST})(?::([0-9]{{1,5}}))?")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SQLITE = re.compile(r"sqlite:///([^?#]+)")
_MESH_KEY = re.compile(r"[0-9A-Fa-f]{64}")

_MAX_PORT = 65_535
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class Form(NamedTuple):
    """What a text must look like: ``expected`` in words, ``fits`` as a check.

    A ``secret`` is never shown, not even a wrong one.
    """

    expected: str
    fits: Callable[[str], bool]
    secret: bool = False


class Address(NamedTuple):
    """Where to listen or connect; an IPv6 host stands without its brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        ip = _ip(self.host)
        return self.host == "localhost" if ip is None else ip.is_loopback

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of the machine."""
        ip = _ip(self.host)
        return ip is not None and ip.is_unspecified


def parse_address(text: str) -> Address | None:
    """Read ``host:port`` (``[host]:port`` for IPv6), or answer None."""
    if (match := _ADDRESS.fullmatch(text)) is None or int(match[2]) > _MAX_PORT:
        return None
    return Address(match[1].strip("[]"), int(match[2])) if _is_host(match[1]) else None


def parse_endpoint(text: str) -> Address | None:
    """Read ``tcp://host:port``, or answer None; the mesh speaks IPv4 only."""
    scheme, _, rest = text.partition("://")
    address = parse_address(rest) if scheme == "tcp" else None
    return None if address is None or ":" in address.host else address


def sqlite_path(url: str) -> str | None:
    """Read the path of ``sqlite:///path``, or answer None."""
    match = _SQLITE.fullmatch(url)
    return match[1] if match is not None and match[1] != ":memory:" else None


def _is_origin(text: str) -> bool:
    # Browsers send an origin in lower case and without a default port; it is compared as text.
    if (match := _ORIGIN.fullmatch(text)) is None or text != text.lower():
        return False
    scheme, host, port = match.groups()
    if port is not None and (not 0 < int(port) <= _MAX_PORT or port == _DEFAULT_PORTS[scheme]):
        return False
    return _is_host(host)


def _is_host(text: str) -> bool:
    # What begins with a bracket or ends in a number must be an IP address, else it is a name.
    looks_numeric = text.startswith("[") or text.rpartition(".")[2].isdecimal()
    return not looks_numeric or _ip(text.strip("[]")) is not None


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


LABEL = Form(
    f"1 to {MAX_NAME_CHARS} letters, digits, dots, dashes or underscores, the first a letter"
    " or digit",
    lambda text: len(text) <= MAX_NAME_CHARS and _LABEL.fullmatch(text) is not None,
)
ACCOUNT = Form(
    f"a name of 1 to {MAX_NAME_CHARS} characters in Unicode normal form C, without control"
    " characters and outer spaces",
    lambda text: name_problem(text) is None,
)
HOST_PORT = Form("host:port", lambda text: parse_address(text) is not None)
ENDPOINT = Form("tcp://host:port", lambda text: parse_endpoint(text) is not None)
ORIGIN = Form(
    "http://host[:port] or https://host[:port], in lower case, without path and default port",
    _is_origin,
)
FILE = Form("the path of a file", lambda text: text.strip() != "" and "\0" not in text)
MESH_KEY = Form(
    "64 hexadecimal digits, as zmqchat keygen makes them",
    lambda text: _MESH_KEY.fullmatch(text) is not None,
    secret=True,
)
DATABASE = Form(
    f"sqlite:///path or {server_url.FORM}",
    lambda text: sqlite_path(text) is not None or server_url.is_one(text),
)
