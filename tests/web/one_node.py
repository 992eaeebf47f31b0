"""One node inside the test's own event loop: real sockets, a real SQLite file."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from zmqchat.config import Config, Node
from zmqchat.node import RunningNode, running


def config_of(folder: Path) -> Config:
    """A cluster of one node on free ports."""
    return Config(
        nodes=[Node(name="n1", http="127.0.0.1:0")],
        database=f"sqlite:///{folder}/chat.db",
        allowed_origins=["https://shop.example"],
    )


@contextlib.asynccontextmanager
async def one_node(folder: Path) -> AsyncIterator[RunningNode]:
    """Run a node while the block runs."""
    config = config_of(folder)
    async with running(config, config.nodes[0]) as node:
        await node.join()
        yield node
