"""Imports point one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "zmqchat"

# A room may import itself and what stands in an earlier line, never its neighbours in a line.
LAYERS = (
    ("", "errors"),  # "" is zmqchat/__init__.py
    ("names", "limits", "logs", "parent", "tasks"),
    ("config", "wire"),
    ("core",),
    ("mesh", "store"),
    ("following",),
    (
        "delivery",
        "gossip",
        "joining",
        "peers",
        "recovery",
        "resumes",
        "storeclock",
        "takeovers",
    ),
    ("web",),
    ("node", "child"),
    ("up",),
    ("cli",),
    ("__main__",),
)
RANKS = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

# What the rooms between store, mesh and node may know of these two; and what that may know.
PORTS = {"zmqchat.mesh.bus", "zmqchat.store.ports", "zmqchat.store.counts"}
KNOW_ONLY_PORTS = {"mesh", "store", "web"}.union(*LAYERS[5:7])
OUTSIDE_OF_CORE = {"asyncio", "peewee", "playhouse", "random", "time", "tornado", "zmq"}

MODULES = {
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): file
    for file in PACKAGE.rglob("*.py")
}


def imported(module: str) -> Iterator[str]:
    """Yield the modules that a module imports, anywhere in its text."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import hides its direction"
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                yield deeper if deeper in MODULES else str(node.module)


def room_of(module: str) -> str:
    """Tell the room of a module of this package."""
    return module.partition(".")[2].partition(".")[0]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_one_way(module: str) -> None:
    """No module imports a room above its own, nor a neighbour other than through its port."""
    room = room_of(module)
    for other in (name for name in imported(module) if name.partition(".")[0] == "zmqchat"):
        if room_of(other) == room:
            continue
        if other in PORTS and room in KNOW_ONLY_PORTS:
            assert module not in PORTS, f"{module}, a port, imports {other}"
            continue
        assert RANKS[room_of(other)] < RANKS[room], f"{module} imports {other}"
        assert not (room in KNOW_ONLY_PORTS and room_of(other) in {"mesh", "store"}), (
            f"{module} imports {other}; expected one of {', '.join(sorted(PORTS))}"
        )


@pytest.mark.parametrize("module", sorted(m for m in MODULES if room_of(m) == "core"))
def test_the_core_does_no_io(module: str) -> None:
    """The core takes time, randomness and frames as arguments."""
    assert not OUTSIDE_OF_CORE & {name.partition(".")[0] for name in imported(module)}


def test_the_package_imports_nothing_that_is_not_listed() -> None:
    """Every room stands in a layer, so that a new one is put somewhere on purpose."""
    assert {room_of(module) for module in MODULES} == RANKS.keys()
