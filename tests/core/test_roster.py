"""What agents are told of who is online."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zmqchat.core.presence import Diff
from zmqchat.core.roster import Change, Roster


def test_changes_are_gathered_into_one() -> None:
    """Two who came and one who went are one change with the next version."""
    roster = Roster()
    roster.add(Diff(["u1"], []))
    roster.add(Diff(["u2"], ["u3"]))
    assert roster.take() == Change(["u1", "u2"], ["u3"], 1)
    assert roster.take() is None


def test_who_came_and_went_is_not_told() -> None:
    """A change that came to nothing costs no version."""
    roster = Roster()
    assert roster.add(Diff(["u1"], []))
    assert not roster.add(Diff([], ["u1"]))
    assert roster.take() is None
    assert roster.version == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40))
def test_changes_add_up_to_the_list(steps: list[tuple[str, bool]]) -> None:
    """Applied in order, what was taken gives the list as it is, whenever it was taken."""
    roster, online, seen = Roster(), set[str](), set[str]()
    for user, take in steps:
        if user in online:
            online.remove(user)
            roster.add(Diff([], [user]))
        else:
            online.add(user)
            roster.add(Diff([user], []))
        if take and (change := roster.take()):
            assert seen.isdisjoint(change.opened)
            assert seen.issuperset(change.closed)
            seen = (seen | set(change.opened)) - set(change.closed)
            assert seen == online
