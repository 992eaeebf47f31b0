"""Turn values into YAML again: the defaults with what they mean, and what is in force."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

from zmqchat.config.mesh_keys import fingerprint
from zmqchat.config.values import Config, Key, keys

_WIDTH = 96  # columns of a comment
_HEAD = """\
# Every key of nodes.yaml with its default and what it means. Only nodes is required; leave out
# what you do not change. The keys behind a # are an example."""


def as_yaml(config: Config) -> str:
    """Write a configuration as YAML that loads back, but for its keys: these are only named."""
    text: str = yaml.safe_dump(
        msgspec.to_builtins(_without_secrets(config)),
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
    )
    return text


def as_json(config: Config) -> str:
    """Write a configuration as indented JSON, with its keys as in `as_yaml`."""
    return (
        msgspec.json.format(msgspec.json.encode(_without_secrets(config)), indent=2).decode() + "\n"
    )


def default_yaml() -> str:
    """Write every key with its default and its meaning, as YAML that loads back."""
    entries = ("\n".join(_entry(name, key, "")) for name, key in keys(Config).items())
    return "\n\n".join([_HEAD, *entries]) + "\n"


def _without_secrets(config: Config) -> Config:
    named = [f"a secret with the fingerprint {fingerprint(key)}" for key in config.mesh.keys]
    mesh = msgspec.structs.replace(config.mesh, keys=named)
    return msgspec.structs.replace(config, mesh=mesh)


def _section(kind: type[msgspec.Struct], indent: str = "") -> Iterator[str]:
    for name, key in keys(kind).items():
        yield from _entry(name, key, indent)


def _entry(name: str, key: Key, indent: str) -> Iterator[str]:
    yield from _comment(key, indent)
    if key.is_section:
        yield f"{indent}{name}:"
        yield from _section(key.kind, indent + "  ")
    elif key.item is not None and key.item.is_section:
        yield f"{indent}{name}:{'' if key.required else ' []'}"
        mark = "" if key.required else "# "
        yield from (f"{mark}{line}" for line in _item(key.item.kind, indent + "  "))
    else:
        yield f"{indent}{name}: {json.dumps(_default(key), ensure_ascii=False)}"


def _item(kind: type[msgspec.Struct], indent: str) -> Iterator[str]:
    """Write an item of a list: a dash before its first key, the others below that."""
    dash: str | None = "- "
    for line in _section(kind):
        if dash is None or line.startswith("#"):
            yield f"{indent}{'' if dash else '  '}{line}"
        else:
            yield f"{indent}{dash}{line}"
            dash = None


def _comment(key: Key, indent: str) -> list[str]:
    text = key.meaning.text if key.meaning else ""
    if not (key.is_section or key.item is not None):
        text += f" Expected: {key.expected}."
    return textwrap.wrap(
        text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
    )


def _default(key: Key) -> Any:
    if not key.required:
        return key.default
    return key.meaning.example if key.meaning else None
