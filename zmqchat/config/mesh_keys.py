"""The keys of the mesh: where they come from, and how new ones are made.

A key is the secret half of a CURVE key pair; the public half follows from it. One key, the same
for all nodes and forwarders, is enough: whoever has it belongs to the cluster. It is written as
64 hexadecimal digits and not in ZeroMQ's own Z85, whose $, %, #, & and quotes mean something to
shells, unit files and YAML. A second key is there only while the first is being replaced.

Keys come from the environment, else from a file with a key a line, else from nodes.yaml. No text
made here contains one, since errors end up in logs.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from zmqchat.config.forms import MESH_KEY
from zmqchat.config.values import Mesh
from zmqchat.errors import ConfigError

KEYS_VARIABLE = "ZMQCHAT_MESH_KEYS"
MOST_KEYS = 2  # the one in use, and the one before or after it

_KEY_BYTES = 32
_FINGERPRINT_BYTES = 4


def mesh_keys(
    mesh: Mesh,
    folder: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    file_option: str = "mesh.keys_file",
) -> list[str]:
    """Read the keys in force, the one to serve with first; raise `ConfigError` for bad ones.

    ``folder`` is what a relative path of a key file is taken from, ``file_option`` what that file
    is called in errors.
    """
    if text := environ.get(KEYS_VARIABLE, ""):
        return _checked(KEYS_VARIABLE, text.replace(",", " ").split())
    if mesh.keys_file is None:
        return _checked("mesh.keys", mesh.keys) if mesh.keys else []
    if mesh.keys:
        raise ConfigError(f"{file_option}: expected either this or mesh.keys, got both")
    path = folder / mesh.keys_file
    return _checked(f"{file_option}: {path}", _lines(file_option, path))


def new_key() -> str:
    """Make a key that nobody has."""
    return secrets.token_hex(_KEY_BYTES)


def fingerprint(key: str) -> str:
    """Tell a key from others, in eight digits that do not betray it."""
    digest = hashlib.blake2b(bytes.fromhex(key), digest_size=_FINGERPRINT_BYTES, person=b"mesh key")
    return digest.hexdigest()


def append_key(path: Path, key: str) -> None:
    """Add a key at the end of a key file; a new file can be read by its owner alone.

    Raise `ConfigError` if the file cannot be written, or would hold more keys than two.
    """
    held = _lines("--file", path) if path.exists() else []
    _checked(f"--file: {path}", [*held, key])
    try:
        path.touch(mode=0o600)
        text = path.read_text()
        with path.open("a") as file:
            file.write(f"{key}\n" if text.endswith("\n") or not text else f"\n{key}\n")
    except OSError as error:
        raise ConfigError(f"--file: {path}: cannot be written: {error.strerror}") from error


def _lines(option: str, path: Path) -> list[str]:
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ConfigError(f"{option}: {path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{option}: {path}: is no text") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _checked(where: str, keys: list[str]) -> list[str]:
    if mistakes := list(_mistakes(where, keys)):
        raise ConfigError("\n".join(mistakes))
    return [key.lower() for key in keys]


def _mistakes(where: str, keys: list[str]) -> Iterator[str]:
    if not 1 <= len(keys) <= MOST_KEYS:
        yield f"{where}: expected 1 or {MOST_KEYS} keys, got {len(keys) or 'none'}"
    for number, key in enumerate(keys, 1):
        if not MESH_KEY.fits(key):
            got = f"{len(key)} characters"
            yield f"{where}: key {number}: expected {MESH_KEY.expected}, got {got}"
    if len({key.lower() for key in keys}) < len(keys):
        yield f"{where}: expected different keys, got one twice"
