"""nodes.yaml as frozen, checked values: one file for all nodes of a cluster.

`values` says which keys there are and what they mean, `forms` what one value may look like,
`rules` what must hold between values, `reading` turns the file into values with every mistake
named by its path, `joining` adds a node that is not listed, `mesh_keys` finds the secrets of the
mesh, and `printing` turns values into YAML
again.
"""

from __future__ import annotations

from zmqchat.config.forms import Address, parse_address, parse_endpoint
from zmqchat.config.joining import join
from zmqchat.config.mesh_keys import (
    KEYS_VARIABLE,
    append_key,
    fingerprint,
    mesh_keys,
    new_key,
)
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
    "KEYS_VARIABLE",
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
    "append_key",
    "as_json",
    "as_yaml",
    "check_endpoint",
    "check_open_mode",
    "default_yaml",
    "fingerprint",
    "forwarder_of",
    "join",
    "load",
    "mesh_keys",
    "new_key",
    "node_of",
    "parse_address",
    "parse_endpoint",
    "secret_of",
]
