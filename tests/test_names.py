"""The rules of names."""

from __future__ import annotations

import pytest

from zmqchat.errors import ErrorCode, Refused
from zmqchat.names import check_name


@pytest.mark.parametrize(
    "name", ["a", "u1", "张三", "Zoë", "a b", "v-0123456789abcdef", "x" * 64, "😀", "shop:42"]
)
def test_names_that_are_allowed(name: str) -> None:
    """Any script, inner spaces, up to 64 characters."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "0 characters"),
        ("x" * 65, "65 characters"),
        (" a", "space"),
        ("a ", "space"),
        ("a\u3000", "space"),
        ("a\nb", "control"),
        ("a\x00", "control"),
        ("a\u2028b", "control"),
        ("\ud800", "control"),
        ("zoe\u0301", "normal form C"),
    ],
)
def test_names_that_are_refused(name: str, words: str) -> None:
    """The sentence says which rule is broken."""
    with pytest.raises(Refused, match=words) as refused:
        check_name(name)
    assert refused.value.code is ErrorCode.BAD_NAME
