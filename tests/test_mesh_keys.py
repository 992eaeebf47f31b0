"""Keys of the mesh: where they come from, how they are made, and that nothing prints them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from zmqchat import config
from zmqchat.cli import commands
from zmqchat.config import KEYS_VARIABLE, fingerprint, mesh_keys, new_key
from zmqchat.config.values import Mesh
from zmqchat.errors import ConfigError

ONE, TWO, THREE = (digit * 64 for digit in "123")
NODES = "nodes: [{name: n1, http: '127.0.0.1:0'}]\n"


def test_the_environment_comes_before_the_file_and_that_before_the_configuration(
    tmp_path: Path,
) -> None:
    """Each source is enough by itself; letters of a key may be large."""
    (tmp_path / "keys").write_text(f"# ours\n\n{TWO}\n  {THREE}  \n")
    from_file = Mesh(keys_file="keys")
    assert mesh_keys(Mesh(), tmp_path, {}) == []
    assert mesh_keys(Mesh(keys=[ONE]), tmp_path, {}) == [ONE]
    assert mesh_keys(from_file, tmp_path, {}) == [TWO, THREE]
    both = {KEYS_VARIABLE: f"{ONE},{'A' * 64}"}
    assert mesh_keys(from_file, tmp_path, both) == [ONE, "a" * 64]


@pytest.mark.parametrize(
    ("mesh", "content", "environ", "expected"),
    [
        (Mesh(keys_file="k"), None, "", "mesh.keys_file: {folder}/k: cannot be read: No such"),
        (Mesh(keys_file="k"), "", "", "mesh.keys_file: {folder}/k: expected 1 or 2 keys, got none"),
        (Mesh(keys_file="k"), f"{ONE}\n{TWO}\n{THREE}", "", "expected 1 or 2 keys, got 3"),
        (Mesh(keys_file="k"), f"{ONE}\n{ONE}", "", "expected different keys, got one twice"),
        (Mesh(keys_file="k"), "secret", "", "key 1: expected 64 hexadecimal digits"),
        (Mesh(keys_file="k", keys=[ONE]), ONE, "", "expected either this or mesh.keys, got both"),
        (Mesh(), None, "secret", f"{KEYS_VARIABLE}: key 1: expected 64 hexadecimal digits"),
    ],
)
def test_bad_keys_are_told_by_where_they_stand(
    tmp_path: Path, mesh: Mesh, content: str | None, environ: str, expected: str
) -> None:
    """One line names the place and what was expected, and shows nothing of the key."""
    if content is not None:
        (tmp_path / "k").write_text(content)
    with pytest.raises(ConfigError) as refused:
        mesh_keys(mesh, tmp_path, {KEYS_VARIABLE: environ})
    assert expected.format(folder=tmp_path) in str(refused.value)
    assert "secret" not in str(refused.value)


def test_keygen_adds_to_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    """Two keys are what a file holds; a third is refused and changes nothing."""
    file = tmp_path / "mesh.keys"
    for number in (1, 2):
        result = CliRunner().invoke(commands, ["keygen", "--file", str(file)])
        assert result.exit_code == 0
        keys = file.read_text().split()
        assert len(keys) == number
        assert result.output == (
            f"added a key to {file}; its fingerprint is {fingerprint(keys[-1])}\n"
        )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    refused = CliRunner().invoke(commands, ["keygen", "--file", str(file)])
    assert isinstance(refused.exception, ConfigError)
    assert f"--file: {file}: expected 1 or 2 keys, got 3" in str(refused.exception)
    assert file.read_text().split() == keys


def test_keygen_writes_a_new_key_each_time() -> None:
    """Without a file the key goes to whoever asked."""
    made = {CliRunner().invoke(commands, ["keygen"]).output for _ in range(5)}
    assert len(made) == 5
    assert all(len(key.strip()) == 64 and int(key, 16) for key in made)


def test_what_is_in_force_shows_no_key(tmp_path: Path) -> None:
    """A fingerprint tells keys apart in print, as YAML and as JSON."""
    key = new_key()
    file = tmp_path / "nodes.yaml"
    file.write_text(f"{NODES}mesh: {{keys: ['{key}']}}\n")
    for form in ([], ["--json"]):
        shown = CliRunner().invoke(commands, ["config", "show", "--config", str(file), *form])
        assert shown.exit_code == 0, shown.output
        assert key not in shown.output
        assert fingerprint(key) in shown.output
    assert config.load(file).mesh.keys == [key]
