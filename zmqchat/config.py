"""nodes.yaml as frozen, checked values: one file for all nodes of a cluster."""

from __future__ import annotations

from typing import Literal

import msgspec


class Support(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The desk that customers talk to."""

    account: str = "super_admin"


class Auth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may do what; ``open`` trusts the name in the address, as the original does."""

    mode: Literal["open"] = "open"


class Mesh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How nodes reach each other."""

    topology: Literal["direct", "forwarder"] = "direct"
    insecure: bool = False  # allow mesh and forwarder endpoints beyond loopback


class Forwarder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An XPUB/XSUB process: nodes publish to ``xsub`` and subscribe to ``xpub``."""

    name: str
    xsub: str
    xpub: str


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One Tornado process."""

    name: str
    http: str  # host:port to listen on; port 0 takes a free one
    mesh: str = "tcp://127.0.0.1:0"  # its PUB endpoint; port 0 takes a free one below 32768
    url: str | None = None  # what browsers use; required where http is a wildcard


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    nodes: list[Node]
    cluster: str = "zmqchat"
    database: str = "sqlite:///zmqchat.db"
    support: Support = Support()
    auth: Auth = Auth()
    mesh: Mesh = Mesh()
    forwarders: list[Forwarder] = []
    allowed_origins: list[str] = []  # pages served from elsewhere that may use REST and WebSockets
