"""A node that joins without being listed: the command line says what the file would.

It is held to the same rules; what is wrong is told by the name of the option.
"""

from __future__ import annotations

import msgspec

from zmqchat.config.reading import mistakes
from zmqchat.config.rules import broken_rules
from zmqchat.config.values import Config, Key, Node
from zmqchat.errors import ConfigError


def join(
    config: Config, name: str | None, *, http: str, url: str | None = None, mesh: str | None = None
) -> tuple[Config, Node]:
    """Add a node to a configuration that `load` returned; return that and the node.

    Raise `ConfigError` with one line for each mistake. A listed name is one: whoever changes the
    file should not have to look for options that say otherwise.
    """
    if name is not None and any(node.name == name for node in config.nodes):
        raise ConfigError(f"--http: the file lists {name} already, and says where it listens")
    given = {"name": name, "http": http, "url": url, "mesh": mesh}
    raw = {key: value for key, value in given.items() if value is not None}
    path = f"nodes[{len(config.nodes)}]"
    if lines := list(mistakes(raw, Key(Node), path)):
        raise _refusal(lines, path)
    node = msgspec.convert(raw, Node)
    whole = msgspec.structs.replace(config, nodes=[*config.nodes, node])
    if lines := list(broken_rules(whole)):
        raise _refusal(lines, path)
    return whole, node


def _refusal(lines: list[str], path: str) -> ConfigError:
    return ConfigError("\n".join(lines).replace(f"{path}.", "--"))
