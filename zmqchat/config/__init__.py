"""nodes.yaml as frozen, checked values: one file for all nodes of a cluster.

`values` says which keys there are and what they mean, `forms` what one value may look like,
`rules` what must hold between values, `reading` turns the file into values with every mistake
named by its path, `joining` adds a node that is not listed, and `printing` turns values into YAML
again.
"""

from __future__ import annotations

from zmqchat.config.forms import Address, parse_address, parse_endpoint
from zmqchat.config.joining import join
from zmqchat.config.printing import as_json, as_yaml, default_yaml
from zmqchat.config.reading import (
    DATABASE_VARIABLE,
    NODE_VARIABLE,
    SECRET_VARIABLE,
    load,
    secret_of,
)
from zmqchat.config.rules import (
    check_endpoint,
    check_open_mode,
    forwarder_of,
    node_of,
)
from zmqchat.config.values import Auth, Config, Forwarder, Mesh, Node, SessionRules, Support

__all__ = [
    "DATABASE_VARIABLE",
    "NODE_VARIABLE",
    "SECRET_VARIABLE",
    "Address",
    "Auth",
    "Config",
    "Forwarder",
    "Mesh",
    "Node",
    "SessionRules",
    "Support",
    "as_json",
    "as_yaml",
    "check_endpoint",
    "check_open_mode",
    "default_yaml",
    "forwarder_of",
    "join",
    "load",
    "node_of",
    "parse_address",
    "parse_endpoint",
    "secret_of",
]
