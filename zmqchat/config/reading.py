"""Turn nodes.yaml into a `Config`, or name every mistake in it by its path, one a line."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from zmqchat.config import server_url
from zmqchat.config.forms import DATABASE, sqlite_path
from zmqchat.config.mesh_keys import mesh_keys
from zmqchat.config.rules import broken_rules
from zmqchat.config.values import Config, Key, keys
from zmqchat.errors import ConfigError

NODE_VARIABLE = "ZMQCHAT_NODE"  # which node to be, where --name does not tell
DATABASE_VARIABLE = "ZMQCHAT_DATABASE"  # overrides the key database
SECRET_VARIABLE = "ZMQCHAT_SECRET"  # noqa: S105 - the name of it; what nodes sign with

MIN_SECRET_BYTES = 32

_MAX_SHOWN_CHARS = 80
_SIGN_IN = re.compile(r"(?<=://)[^/]*@")  # user and password of an address


def load(path: str | Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read, check and complete a configuration file.

    The database of what is returned has an absolute path, and its mesh the keys in force, wherever
    they come from. Raise `ConfigError` with one line for
    each mistake.
    """
    path = Path(path)
    raw = _read_yaml(path)
    _refuse(mistakes(raw, Key(Config, None, None), ""))
    config = msgspec.convert(raw, Config)
    held = mesh_keys(config.mesh, path.parent, environ)
    mesh = msgspec.structs.replace(config.mesh, keys=held)
    config = msgspec.structs.replace(config, mesh=mesh)
    _refuse(broken_rules(config))
    key, url = "database", config.database
    if override := environ.get(DATABASE_VARIABLE):
        key, url = DATABASE_VARIABLE, override
    return msgspec.structs.replace(config, database=_absolute(key, url, path))


def secret_of(environ: Mapping[str, str] = os.environ) -> bytes | None:
    """Read the cluster's secret, None if the environment has none; raise `ConfigError`.

    It stands in no file, so that it is not printed with the configuration.
    """
    secret = environ.get(SECRET_VARIABLE, "").encode(errors="surrogateescape")
    if not secret:
        return None
    if len(secret) < MIN_SECRET_BYTES:
        raise ConfigError(
            f"{SECRET_VARIABLE}: expected at least {MIN_SECRET_BYTES} bytes, got {len(secret)}"
        )
    return secret


def _refuse(found: Iterator[str]) -> None:
    if lines := list(found):
        raise ConfigError("\n".join(lines))


def _absolute(key: str, url: str, file: Path) -> str:
    if server_url.is_one(url):
        try:
            server_url.parse(url)
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from None
        return url
    if (database := sqlite_path(url)) is None:
        raise ConfigError(f"{key}: expected {DATABASE.expected}, got {_shown(url)}")
    # The path begins after the third slash, so an absolute one makes it four.
    absolute = f"sqlite:///{file.resolve().parent / database}"
    if sqlite_path(absolute) is None:
        raise ConfigError(f"{key}: expected a path without ? and #, got {absolute}")
    return absolute


# -- the file -----------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; the plain loader would silently take the last of equal keys."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if (name := str(key.value)) in lines:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {name} stands twice, first in line {lines[name]}",
                    problem_mark=key.start_mark,
                )
            lines[name] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> object:
    try:
        raw: object = yaml.load(path.read_bytes(), _Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        what = ", ".join(filter(None, [error.context, error.problem]))
        raise ConfigError(f"{path}: {where}{' '.join(what.split())}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: of a date such as 2024-13-32
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if raw is None:
        raise ConfigError(f"{path}: is empty; expected at least the key nodes")
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected keys such as nodes, got {_shown(raw)}")
    return raw


# -- its values ---------------------------------------------------------------------------------


def mistakes(value: object, key: Key, path: str) -> Iterator[str]:
    """Tell what is wrong with the value of a key and with all below it."""
    if key.is_section and isinstance(value, dict):
        yield from _section_mistakes(value, keys(key.kind), f"{path}." if path else "")
    elif key.item is not None and isinstance(value, list):
        for index, item in enumerate(value):
            yield from mistakes(item, key.item, f"{path}[{index}]")
    elif not _fits(value, key):
        unquoted = not isinstance(value, str) and _fits(str(value), key)
        advice = "; put it in quotes" if unquoted else ""
        hidden = key.form is not None and key.form.secret and isinstance(value, str | int)
        got = f"{len(str(value))} characters" if hidden else _shown(value)
        yield f"{path}: expected {key.expected}, got {got}{advice}"


def _section_mistakes(values: dict[Any, Any], known: dict[str, Key], below: str) -> Iterator[str]:
    meant = set()
    for name, value in values.items():
        if name in known:
            yield from mistakes(value, known[name], f"{below}{name}")
            continue
        close = difflib.get_close_matches(str(name), known, n=1)
        meant.update(close)
        advice = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
        yield f"{below}{_shown(name)}: unknown key; {advice}"
    for name, key in known.items():
        if key.required and name not in values and name not in meant:
            yield f"{below}{name}: missing; expected {key.expected}"


def _fits(value: object, key: Key) -> bool:
    if key.is_section or key.item is not None:
        return False
    try:
        msgspec.convert(value, key.kind, strict=True)
    except msgspec.ValidationError:
        return False
    return key.form is None or not isinstance(value, str) or key.form.fits(value)


def _shown(value: object) -> str:
    """Show a value of the file in one short line, without a password."""
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "a mapping"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = _SIGN_IN.sub("***@", str(value))
    if len(text) > _MAX_SHOWN_CHARS:
        text = f"{text[:_MAX_SHOWN_CHARS]}…"
    return text if text == text.strip() != "" and text.isprintable() else repr(text)
