"""The keys of nodes.yaml: their types, forms, defaults and meanings.

All of it stands on the fields, so that checks, documentation and code read the same words.
"""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from zmqchat.config.forms import (
    ACCOUNT,
    DATABASE,
    ENDPOINT,
    FILE,
    HOST_PORT,
    LABEL,
    MESH_KEY,
    ORIGIN,
    Address,
    Form,
    parse_address,
)


class Meaning(NamedTuple):
    """What a key does, in a sentence; ``example`` for a key without a default."""

    text: str
    example: str | None = None


class Support(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The desk that customers talk to."""

    account: Annotated[
        str, ACCOUNT, Meaning("Account name of the desk; customers see it as the sender.")
    ] = "super_admin"


class Auth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may do what."""

    mode: Annotated[
        Literal["open"],
        Meaning(
            "open trusts the name in the address, as the original does: for development. Nodes"
            " then refuse to listen beyond loopback, unless started with --insecure."
        ),
    ] = "open"


class SessionRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many sessions a user may have at a time, by role."""

    customer: Annotated[
        Literal["many", "one"],
        Meaning(
            "Sessions of a customer: many at a time, or one, where a new login closes the older"
            " session wherever it is."
        ),
    ] = "many"
    agent: Annotated[
        Literal["many", "one"],
        Meaning(
            "The same for an agent. In auth.mode open all desks are one agent, so that one means"
            " one desk at a time."
        ),
    ] = "one"


class Mesh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How nodes reach each other."""

    topology: Annotated[
        Literal["direct", "forwarder"],
        Meaning(
            "direct connects every node to every other, forwarder every node to every forwarder"
            " listed."
        ),
    ] = "direct"
    insecure: Annotated[
        bool,
        Meaning(
            "Allow mesh and forwarder endpoints beyond loopback without keys. Frames are then"
            " neither encrypted nor authenticated: only for a network that nobody else can reach."
        ),
    ] = False
    keys: Annotated[
        list[Annotated[str, MESH_KEY]],
        Meaning(
            "Secrets that all nodes and forwarders share, as zmqchat keygen makes them. Frames are"
            " then encrypted, and a peer without one of them is refused. The first is in use; a"
            " second one is for the time in which keys are replaced. The variable"
            " ZMQCHAT_MESH_KEYS overrides this and keys_file."
        ),
    ] = []
    keys_file: Annotated[
        str | None,
        FILE,
        Meaning(
            "A file with these keys, one a line, instead of keys. A relative path is taken from"
            " the folder of this file."
        ),
    ] = None

    def __repr__(self) -> str:
        """Leave the keys out: what is logged or raised shows this."""
        held = f"{len(self.keys)} keys" if self.keys else "no keys"
        return f"Mesh({self.topology}, insecure={self.insecure}, {held})"


class Forwarder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process that passes frames on: nodes publish to ``xsub`` and subscribe to ``xpub``."""

    name: Annotated[str, LABEL, Meaning("Its name in logs and for --name.", example="f1")]
    xsub: Annotated[
        str, ENDPOINT, Meaning("Where nodes publish to.", example="tcp://127.0.0.1:5559")
    ]
    xpub: Annotated[
        str, ENDPOINT, Meaning("Where nodes subscribe.", example="tcp://127.0.0.1:5560")
    ]


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One Tornado process."""

    name: Annotated[str, LABEL, Meaning("Its name in logs and for --name.", example="n1")]
    http: Annotated[
        str,
        HOST_PORT,
        Meaning(
            "Where it listens for browsers; port 0 takes a free one.", example="127.0.0.1:8001"
        ),
    ]
    mesh: Annotated[
        str,
        ENDPOINT,
        Meaning(
            "Where other nodes reach it in topology direct; port 0 takes a free one. The port is"
            " below 32768: above, a link that is down may connect to itself."
        ),
    ] = "tcp://127.0.0.1:0"
    url: Annotated[
        str | None,
        ORIGIN,
        Meaning(
            "What browsers use, where that is not http://host:port of http: behind TLS, or where"
            " http is a wildcard."
        ),
    ] = None

    @property
    def http_address(self) -> Address:
        """Where to listen for browsers.

        Raise ValueError for a text that `zmqchat.config.load` would have refused.
        """
        if (address := parse_address(self.http)) is None:
            raise ValueError(f"{self.name}: expected {HOST_PORT.expected}, got {self.http}")
        return address

    @property
    def is_loopback(self) -> bool:
        """Whether only browsers on this machine can reach it."""
        return self.http_address.is_loopback

    def url_on(self, port: int) -> str:
        """Tell what browsers use, with the port that was really bound."""
        return self.url or f"http://{self.http_address._replace(port=port)}"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    nodes: Annotated[list[Node], Meaning("All nodes of the cluster, 1 to 1,023.")]
    cluster: Annotated[
        str, LABEL, Meaning("Name of the cluster; frames of any other are dropped.")
    ] = "zmqchat"
    database: Annotated[
        str,
        DATABASE,
        Meaning(
            "Where messages are kept: in a file, if all nodes run on one machine, or on a MySQL or"
            " MariaDB server, whose password comes from the variable ZMQCHAT_DB_PASSWORD. A"
            " relative path is taken from the folder of this file. The variable ZMQCHAT_DATABASE"
            " overrides it."
        ),
    ] = "sqlite:///zmqchat.db"
    support: Annotated[Support, Meaning("The desk that customers talk to.")] = Support()
    auth: Annotated[Auth, Meaning("Who may do what.")] = Auth()
    sessions: Annotated[
        SessionRules, Meaning("How many sessions a user may have at a time, by role.")
    ] = SessionRules()
    mesh: Annotated[Mesh, Meaning("How nodes reach each other.")] = Mesh()
    forwarders: Annotated[
        list[Forwarder],
        Meaning("Processes that pass frames on; at least one is needed by topology forwarder."),
    ] = []
    allowed_origins: Annotated[
        list[Annotated[str, ORIGIN]],
        Meaning("Origins of pages served from elsewhere that may use REST and WebSockets."),
    ] = []


class Key(NamedTuple):
    """What is known of a key, or of the items of a list."""

    kind: Any  # its type, without what is annotated
    form: Form | None = None
    meaning: Meaning | None = None
    default: Any = msgspec.NODEFAULT

    @property
    def required(self) -> bool:
        """Whether the file must have it."""
        return self.default is msgspec.NODEFAULT

    @property
    def is_section(self) -> bool:
        """Whether it holds keys of its own."""
        return isinstance(self.kind, type) and issubclass(self.kind, msgspec.Struct)

    @property
    def item(self) -> Key | None:
        """What the items of a list are, None if it is no list."""
        return key_of(get_args(self.kind)[0]) if get_origin(self.kind) is list else None

    @property
    def expected(self) -> str:
        """What it should be, in words."""
        if self.form is not None:
            return self.form.expected
        if self.is_section:
            return f"the keys {', '.join(keys(self.kind))}"
        if get_origin(self.kind) is Literal:
            return " or ".join(get_args(self.kind))
        return "true or false" if self.kind is bool else "a list"


def key_of(hint: Any, default: Any = msgspec.NODEFAULT) -> Key:
    """Read what is annotated on a type."""
    kind, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    form = next((note for note in notes if isinstance(note, Form)), None)
    meaning = next((note for note in notes if isinstance(note, Meaning)), None)
    return Key(kind, form, meaning, default)


@functools.cache
def keys(section: type[msgspec.Struct]) -> dict[str, Key]:
    """Read the keys of a section, in the order they are written."""
    return {
        field.name: key_of(
            field.type,
            field.default_factory() if callable(field.default_factory) else field.default,
        )
        for field in msgspec.structs.fields(section)
    }
