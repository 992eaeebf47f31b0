"""When to look at what again."""

from __future__ import annotations

import math

from zmqchat.core.deadlines import Deadlines


def test_keys_are_told_once_in_the_order_of_their_moments() -> None:
    """The earliest first, and none before its time."""
    deadlines: Deadlines[str] = Deadlines()
    assert deadlines.next == math.inf
    for key, at in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        deadlines.add(key, at)
    assert deadlines.next == 1.0
    assert list(deadlines.due(2.0)) == ["a", "b"]
    assert list(deadlines.due(2.0)) == []
    assert list(deadlines.due(3.0)) == ["c"]


def test_the_earlier_of_two_moments_counts() -> None:
    """Adding a key again with a later moment changes nothing."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.add("a", 5.0)
    deadlines.add("a", 1.0)
    deadlines.add("a", 9.0)
    assert list(deadlines.due(1.0)) == ["a"]
    assert list(deadlines.due(99.0)) == []


def test_a_key_may_be_added_again_while_the_due_ones_are_walked() -> None:
    """What is due again at once is told again; what is discarded is not told."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.add("a", 1.0)
    deadlines.add("b", 2.0)
    told = []
    for key in deadlines.due(3.0):
        told.append(key)
        if told == ["a"]:
            deadlines.add("a", 2.5)
            deadlines.discard("b")
    assert told == ["a", "a"]
