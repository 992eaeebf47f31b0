"""Which pages of other origins may talk to this node: those of the cluster's nodes, and a list.

A browser names the page's origin. A request without one does not come from a page of another
site. On loopback a node goes by several names; a page that was opened under one of them may
reach the other nodes under another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def origin_of(url: str) -> str:
    """Return scheme, host and port of a url, as browsers write an origin."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def aliases_of(url: str) -> list[str]:
    """Return the origins a node's url goes by: all names of loopback if it is one of them."""
    origin = origin_of(url)
    scheme, _, host = origin.partition("://")
    name, colon, port = host.rpartition(":")
    if not colon or name not in LOOPBACK_NAMES:
        return [origin]
    return [f"{scheme}://{alias}:{port}" for alias in LOOPBACK_NAMES]


class Origins:
    """Judges origins; ``node_urls`` tells the urls of all nodes as they are known now."""

    def __init__(self, node_urls: Callable[[], Iterable[str]], allowed: Iterable[str]) -> None:
        self._node_urls = node_urls
        self._allowed = frozenset(origin.lower() for origin in allowed)

    def allows(self, origin: str) -> bool:
        """Whether a page of this origin may use the REST calls and WebSockets of this node."""
        origin = origin.lower()
        if origin in self._allowed:
            return True
        return any(origin in aliases_of(url) for url in self._node_urls())

    def connect_sources(self) -> list[str]:
        """Return what a page may connect to: every node, by HTTP and by WebSocket.

        Browsers take no IPv6 addresses there, and complain of each.
        """
        origins = [origin for url in self._node_urls() for origin in aliases_of(url)]
        http = [origin for origin in origins if "[" not in origin]
        return [*http, *(origin.replace("http", "ws", 1) for origin in http)]
