"""A node as a whole: what ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from zmqchat import node
from zmqchat.config import Config, Node
from zmqchat.errors import ConfigError, StartError
from zmqchat.recovery import Recovery


def config_of(folder: Path) -> Config:
    """One node on ports that the system gives."""
    return Config(
        nodes=[Node(name="n1", http="127.0.0.1:0")], database=f"sqlite:///{folder}/chat.db"
    )


def test_a_loop_that_ends_takes_its_node_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that would find nothing any more stops, so that it is started again."""

    async def fail(_: Recovery) -> None:
        raise LookupError("a mistake")

    monkeypatch.setattr(Recovery, "keep_auditing", fail)
    config = config_of(tmp_path)
    with pytest.raises(StartError, match="n1: a part of it ended, as the log tells"):
        asyncio.run(asyncio.wait_for(node._run(config, config.nodes[0]), 20))


def test_a_bad_secret_is_told_before_anything_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No database is made, and no life of the node is written down."""
    monkeypatch.setenv("ZMQCHAT_SECRET", "short")
    config = config_of(tmp_path)
    with pytest.raises(ConfigError, match="ZMQCHAT_SECRET: expected at least 32 bytes, got 5"):
        asyncio.run(node._run(config, config.nodes[0]))
    assert list(tmp_path.iterdir()) == []
