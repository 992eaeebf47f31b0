"""The rules of names: accounts, nodes and client ids.

Both databases keep these apart byte by byte, so what looks the same must be the same: NFC only,
no control characters, no outer spaces (MySQL's ``utf8mb4_bin`` ignores them at the end).
"""

from __future__ import annotations

import unicodedata

from zmqchat.errors import ErrorCode, Refused

MAX_NAME_CHARS = 64


def name_problem(text: str, what: str = "name") -> str | None:
    """Tell what is wrong with a name in one sentence, or None if nothing is."""
    if not 1 <= len(text) <= MAX_NAME_CHARS:
        return f"{what} has {len(text)} characters; expected 1 to {MAX_NAME_CHARS}"
    if text != text.strip():
        return f"{what} {text!r} begins or ends with a space"
    if text.isascii() and text.isprintable():  # nearly every name and client id there is
        return None
    # Cc: control, Cs: surrogate, Zl and Zp: line and paragraph separators.
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in text):
        return f"{what} {text!r} contains a control character"
    if not unicodedata.is_normalized("NFC", text):
        return f"{what} {text!r} is not in Unicode normal form C"
    return None


def check_name(text: str, what: str = "name") -> str:
    """Return the name unchanged, or raise `Refused` with ``bad_name``."""
    if (problem := name_problem(text, what)) is not None:
        raise Refused(ErrorCode.BAD_NAME, problem)
    return text
