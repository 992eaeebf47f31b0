"""What must hold between the values of a configuration; what one value may be is in `forms`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from zmqchat.config.forms import ENDPOINT, Address, parse_address, parse_endpoint
from zmqchat.config.values import Config, Forwarder, Node
from zmqchat.errors import ConfigError

MAX_NODES = 1023  # a message's id has ten bits for the node, and 0 is nobody
MESH_PORTS_END = 32_768  # from here on systems give ports out by themselves


def broken_rules(config: Config) -> Iterator[str]:
    """Tell which rules a configuration breaks, a line for each breach."""
    for rule in _RULES:
        yield from rule(config)


def check_endpoint(path: str, text: str, *, keys: Sequence[str] = (), insecure: bool) -> str:
    """Return an endpoint to bind unchanged, or raise `ConfigError` telling what is wrong."""
    if (address := parse_endpoint(text)) is None:
        raise ConfigError(f"{path}: expected {ENDPOINT.expected}, got {text}")
    if address.port >= MESH_PORTS_END:
        raise ConfigError(f"{path}: {_port_problem(address)}")
    if not (address.is_loopback or keys or insecure):
        raise ConfigError(f"{path}: {_exposed(address)}, keys by --keys-file, or --insecure")
    return text


def check_open_mode(config: Config, node: Node, *, insecure: bool) -> None:
    """Raise `ConfigError` if a node would let the world in under any name it likes."""
    if config.auth.mode == "open" and not (node.is_loopback or insecure):
        raise ConfigError(
            f"{node.name}: {node.http} is beyond loopback, where auth.mode open would trust any"
            " name; listen on 127.0.0.1, or allow it with --insecure"
        )


_Named = TypeVar("_Named", Node, Forwarder)


def node_of(config: Config, name: str | None = None) -> Node:
    """Pick a node by its name, or the only one; raise `ConfigError` naming those there are."""
    return _pick("node", config.nodes, name)


def forwarder_of(config: Config, name: str | None = None) -> Forwarder:
    """Pick a forwarder by its name, or the only one; raise `ConfigError` as `node_of`."""
    return _pick("forwarder", config.forwarders, name)


def _pick(what: str, known: Sequence[_Named], name: str | None) -> _Named:
    if name is None and len(known) == 1:
        return known[0]
    for one in known:
        if one.name == name:
            return one
    asked = f"no {what} is called {name}" if name is not None else f"which {what}? give its --name"
    names = ", ".join(one.name for one in known)
    raise ConfigError(
        f"{asked}; expected {f'one of {names}' if names else 'one, and none is listed'}"
    )


# -- rules --------------------------------------------------------------------------------------


def _counts(config: Config) -> Iterator[str]:
    if not 1 <= len(config.nodes) <= MAX_NODES:
        yield f"nodes: expected 1 to {MAX_NODES:,} nodes, got {len(config.nodes) or 'none'}"
    if config.mesh.topology == "forwarder" and not config.forwarders:
        yield "forwarders: expected at least one with mesh.topology forwarder, got none"


def _names_differ(config: Config) -> Iterator[str]:
    yield from _repeated((f"{path}.name", part.name) for path, part in _parts(config))


def _addresses_differ(config: Config) -> Iterator[str]:
    yield from _repeated(
        (path, str(address._replace(host=address.host.replace("localhost", "127.0.0.1"))))
        for path, address in _addresses(config)
        if address.port and not address.is_wildcard  # wildcards may be on different machines
    )


def _endpoints_usable(config: Config) -> Iterator[str]:
    for path, address in _mesh_endpoints(config):
        if address.port >= MESH_PORTS_END:
            yield f"{path}: {_port_problem(address)}"
        if address.is_wildcard:
            yield f"{path}: expected an address that nodes can connect to, got {address}"
        elif not (address.is_loopback or config.mesh.keys or config.mesh.insecure):
            yield f"{path}: {_exposed(address)}, mesh.keys, or mesh.insecure: true"


def _forwarders_found(config: Config) -> Iterator[str]:
    for path, address in _mesh_endpoints(config):
        if path.startswith("forwarders") and address.port == 0:
            yield f"{path}: expected a port that nodes can connect to, got 0"


def _urls_known(config: Config) -> Iterator[str]:
    for index, node in enumerate(config.nodes):
        if node.http_address.is_wildcard and node.url is None:
            yield f"nodes[{index}].url: missing; browsers cannot connect to {node.http}"


_RULES: tuple[Callable[[Config], Iterator[str]], ...] = (
    _counts,
    _names_differ,
    _addresses_differ,
    _endpoints_usable,
    _forwarders_found,
    _urls_known,
)


def _port_problem(address: Address) -> str:
    return f"expected a port below {MESH_PORTS_END}, got {address.port}"


def _exposed(address: Address) -> str:
    return f"{address} is beyond loopback and frames are not encrypted; expected a loopback address"


def _repeated(values: Iterator[tuple[str, str]]) -> Iterator[str]:
    """Tell which values stand twice; ``values`` are pairs of path and value."""
    first: dict[str, str] = {}
    for path, value in values:
        if first.setdefault(value, path) != path:
            yield f"{path}: {value} is {first[value]} already"


def _parts(config: Config) -> Iterator[tuple[str, Node | Forwarder]]:
    for index, forwarder in enumerate(config.forwarders):
        yield f"forwarders[{index}]", forwarder
    for index, node in enumerate(config.nodes):
        yield f"nodes[{index}]", node


def _mesh_endpoints(config: Config) -> Iterator[tuple[str, Address]]:
    for path, part in _parts(config):
        yield from _endpoints_of(path, part)


def _endpoints_of(path: str, part: Node | Forwarder) -> Iterator[tuple[str, Address]]:
    for key in ("mesh",) if isinstance(part, Node) else ("xsub", "xpub"):
        if (address := parse_endpoint(getattr(part, key))) is not None:
            yield f"{path}.{key}", address


def _addresses(config: Config) -> Iterator[tuple[str, Address]]:
    """Yield every address with its path, those of a node one after the other."""
    for path, part in _parts(config):
        yield from _endpoints_of(path, part)
        if isinstance(part, Node) and (address := parse_address(part.http)) is not None:
            yield f"{path}.http", address
