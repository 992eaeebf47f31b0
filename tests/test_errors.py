"""The tables of error codes and close codes."""

from __future__ import annotations

from zmqchat.errors import CLOSE_MEANINGS, ERRORS, CloseCode, ErrorCode, may_reconnect


def test_every_code_has_its_row() -> None:
    """No code without meaning, status and whether to try again."""
    assert set(ERRORS) == set(ErrorCode)
    assert set(CLOSE_MEANINGS) == set(CloseCode)
    assert all(400 <= row.status < 600 and row.meaning for row in ERRORS.values())


def test_the_range_of_a_close_code_tells_whether_to_reconnect() -> None:
    """4500 to 4999 are final, everything else invites to come back."""
    final = [CloseCode.LOGGED_IN_ELSEWHERE, CloseCode.PROTOCOL]
    assert [code for code in CloseCode if not may_reconnect(code)] == final
    assert may_reconnect(1006)
    assert not may_reconnect(4999)
