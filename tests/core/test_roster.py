"""What agents are told of who is online."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zmqchat.core.roster import LINGER_S, LONG_LINGER_S, Change, Roster, Shown, Sure


def come(roster: Roster, *users: str, now: float = 0.0) -> None:
    """Open a session of each."""
    roster.move(users, now, None, Sure.YES)


def go(roster: Roster, *users: str, now: float = 0.0, linger_s: float = LINGER_S) -> None:
    """Close a session of each."""
    roster.move(users, now, Sure.YES, None, linger_s)


def test_changes_are_gathered_into_one() -> None:
    """Two who came and one who went are one change with the next version."""
    roster = Roster()
    come(roster, "u3")
    roster.take()
    go(roster, "u3")
    come(roster, "u1", "u2")
    roster.expire(LINGER_S, hold=False)
    assert roster.take() == Change(["u1", "u2"], ["u3"], [], 2, listed=True)
    assert roster.take() is None
    assert list(roster.users) == ["u1", "u2"]


def test_who_came_and_went_is_not_told() -> None:
    """A change that came to nothing costs no version."""
    roster = Roster()
    come(roster, "u1")
    go(roster, "u1")
    roster.expire(LINGER_S, hold=False)
    assert roster.changed
    assert roster.take() is None
    assert roster.version == 0


def test_a_user_is_online_from_the_first_session_to_the_last() -> None:
    """Two tabs of one user are one coming and one going."""
    roster = Roster()
    come(roster, "u1")
    come(roster, "u1")
    assert roster.take() == Change(["u1"], [], [], 1, listed=True)
    go(roster, "u1")
    roster.expire(99.0, hold=False)
    assert roster.take() is None
    go(roster, "u1", now=99.0)
    roster.expire(99.0 + LINGER_S, hold=False)
    assert roster.take() == Change([], ["u1"], [], 2, listed=True)


def test_two_hundred_reloads_make_no_noise() -> None:
    """A session that closes and comes again within the linger is no news, on whatever node."""
    roster = Roster()
    come(roster, "u1")
    roster.take()
    for reload in range(200):
        go(roster, "u1", now=reload * 4.0)
        roster.expire(reload * 4.0 + 3.9, hold=False)
        come(roster, "u1", now=reload * 4.0 + 3.9)
        assert roster.take() is None
    roster.expire(9999.0, hold=False)
    assert roster.take() is None


def test_a_linger_ends_on_time() -> None:
    """Not before 5 s, or 30 s where its node was draining."""
    roster = Roster()
    come(roster, "short", "long")
    roster.take()
    go(roster, "short")
    go(roster, "long", linger_s=LONG_LINGER_S)
    assert roster.next == LINGER_S
    roster.expire(LINGER_S - 0.1, hold=False)
    assert roster.take() is None
    roster.expire(LINGER_S, hold=False)
    assert roster.take() == Change([], ["short"], [], 2, listed=True)
    roster.expire(LONG_LINGER_S, hold=False)
    assert roster.take() == Change([], ["long"], [], 3, listed=True)


def test_a_user_of_a_suspect_node_is_unknown_and_still_listed() -> None:
    """Doubt and its end change what a user is shown as, not whether it is in the list."""
    roster = Roster()
    come(roster, "u1", "both")
    come(roster, "both")
    roster.take()
    roster.move(["u1", "both"], 1.0, Sure.YES, Sure.NO)
    assert roster.take() == Change([], [], ["u1"], 2, listed=False)
    assert roster.users == {"u1": Shown.UNKNOWN, "both": Shown.ONLINE}
    roster.move(["u1", "both"], 2.0, Sure.NO, Sure.YES)
    assert roster.take() == Change(["u1"], [], [], 3, listed=False)


def test_a_user_of_a_dead_node_stays_unknown_for_the_linger() -> None:
    """Then it is offline, unless it came back elsewhere."""
    roster = Roster()
    come(roster, "gone", "moved")
    roster.move(["gone", "moved"], 1.0, Sure.YES, Sure.NO)
    roster.take()
    roster.move(["gone", "moved"], 5.0, Sure.NO, None)
    assert roster.users["gone"] is Shown.UNKNOWN
    come(roster, "moved", now=6.0)
    roster.expire(10.0, hold=False)
    assert roster.take() == Change(["moved"], ["gone"], [], 2, listed=True)


def test_nobody_goes_offline_while_lingers_are_held() -> None:
    """Who would have is unknown, and its linger begins anew when they are released."""
    roster = Roster()
    come(roster, "u1")
    roster.take()
    go(roster, "u1")
    roster.expire(LINGER_S, hold=True)
    assert roster.take() == Change([], [], ["u1"], 2, listed=False)
    roster.release(30.0)
    roster.expire(30.0 + LINGER_S - 0.1, hold=False)
    assert roster.take() is None
    roster.expire(30.0 + LINGER_S, hold=False)
    assert roster.take() == Change([], ["u1"], [], 3, listed=True)


moves = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from([None, Sure.YES, Sure.NO]),
    st.sampled_from([None, Sure.YES, Sure.NO]),
    st.floats(0.0, 3.0),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(moves, max_size=60))
def test_changes_add_up_to_the_list(
    steps: list[tuple[str, Sure | None, Sure | None, float, bool, bool]],
) -> None:
    """Applied in order, what was taken gives the list as it is, whenever it was taken.

    And a user with a sure session is online, one with only unsure ones unknown.
    """
    roster, seen, now = Roster(), dict[str, Shown](), 0.0
    counts = {user: {Sure.YES: 0, Sure.NO: 0} for user in "abc"}
    for user, was, becomes, passes, hold, take in steps:
        now += passes
        if was is not becomes and (was is None or counts[user][was]):
            for sure, step in ((was, -1), (becomes, 1)):
                if sure is not None:
                    counts[user][sure] += step
            roster.move([user], now, was, becomes)
        roster.expire(now, hold=hold)
        for one, count in counts.items():
            if count[Sure.YES]:
                assert roster.users[one] is Shown.ONLINE
            elif count[Sure.NO]:
                assert roster.users[one] is Shown.UNKNOWN
        if take and (change := roster.take()):
            assert {*change.opened, *change.unknown, *change.closed}
            assert seen.keys() >= set(change.closed)
            seen.update(dict.fromkeys(change.opened, Shown.ONLINE))
            seen.update(dict.fromkeys(change.unknown, Shown.UNKNOWN))
            for one in change.closed:
                del seen[one]
            assert seen == roster.users
