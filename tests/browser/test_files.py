"""What the files of the pages must and must not contain."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import zmqchat.web
from zmqchat.errors import CloseCode, may_reconnect
from zmqchat.wire.client import MAX_MESSAGE_BYTES, PROTOCOL_V1, Key
from zmqchat.wire.proofs import PREFIX

PAGES = Path(zmqchat.web.__file__).parent / "pages"
SCRIPTS = sorted(PAGES.glob("*.js"))
HTML = sorted(PAGES.glob("*.html"))
PROTOCOL = (PAGES / "protocol.js").read_text(encoding="utf-8")

# Everything by which a browser takes text for markup or for a program.
SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\.write|createContextualFragment"
    r"|DOMParser|srcdoc|\beval\b|new Function|javascript:"
)
# What the Content-Security-Policy forbids, or what comes from elsewhere.
INLINE = re.compile(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|(?:src|href)=\"(?!/)|//cdn")


def test_pages_exist() -> None:
    """The checks below look at something."""
    assert len(SCRIPTS) > 10
    assert [page.name for page in HTML] == ["customer.html", "desk.html"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_markup_of_text(path: Path) -> None:
    """Text has no way to become markup."""
    assert SINKS.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_import_files_that_exist(path: Path) -> None:
    """Modules come from this folder, by their full names, since nothing builds them."""
    imported = re.findall(r'^import [^;]*?from "(.+?)";$', path.read_text("utf-8"), re.MULTILINE)
    for name in imported:
        assert name.startswith("./"), name
        assert (PAGES / name).is_file(), name


@pytest.mark.parametrize("path", HTML, ids=lambda path: path.name)
def test_html_has_nothing_inline_and_nothing_foreign(path: Path) -> None:
    """Scripts and styles are files of this folder."""
    text = path.read_text(encoding="utf-8")
    assert INLINE.findall(text) == []
    for name in re.findall(r'"/pages/(.+?)"', text):
        assert (PAGES / name).is_file(), name


def constant(name: str) -> str:
    """Return how protocol.js writes a constant."""
    found = re.search(rf"^export const {name} = (.+?);$", PROTOCOL, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


def test_close_codes_agree() -> None:
    """The page and the server agree which closes are for good, and the page has words for ours."""
    first, last = int(constant("FIRST_TERMINAL_CLOSE")), int(constant("LAST_TERMINAL_CLOSE"))
    codes = range(1000, 5000)
    assert [code for code in codes if not may_reconnect(code)] == list(range(first, last + 1))
    worded = {int(code) for code in re.findall(r"(\d+):", constant("TERMINAL_CLOSE_WORDS"))}
    assert worded == {code for code in CloseCode if not may_reconnect(code)}


def test_keys_and_limits_agree() -> None:
    """The page's keys, subprotocol and limit are the server's."""
    keys = {name: int(key) for name, key in re.findall(r"(\w+): (\d+)", constant("KEY"))}
    assert keys == {key.name: key.value for key in Key}
    assert constant("PROOF_PREFIX") == f'"{PREFIX}"'
    assert constant("SUBPROTOCOL") == f'"{PROTOCOL_V1}"'
    assert int(constant("MAX_MESSAGE_BYTES")) == MAX_MESSAGE_BYTES


def test_types_hold() -> None:
    """The types that comments promise hold, as far as the TypeScript compiler can tell."""
    compiler = shutil.which("tsc")
    if compiler is None:
        pytest.skip("needs tsc (Debian: node-typescript)")
    options = "--noEmit --allowJs --checkJs --strict --target es2022 --module es2022"
    libraries = "--moduleResolution node --lib es2022,dom,dom.iterable"
    command = [compiler, *options.split(), *libraries.split(), *map(str, SCRIPTS)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=PAGES)
    assert result.stdout == ""
    assert result.returncode == 0
