"""One session a user: who has to go, and that it is said once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zmqchat.core.logins import Farewell, Login, SingleSessions
from zmqchat.core.sessions import Session
from zmqchat.errors import CloseCode


def a_session(number: int, user: str = "Ann") -> Session:
    """A session whose connection nobody looks at."""
    return Session(
        number,
        user,
        agent=True,
        v1=True,
        wake=lambda: None,
        drain=lambda: None,
        end=lambda _code: None,
    )


def login(epoch: int, session: str, user: str = "Ann") -> Login:
    """A login on some node."""
    return Login(user, epoch, session, 1)


def test_a_newer_login_sends_the_older_session_away_once() -> None:
    """The news may come again, and old news after it: nobody is told twice, and not the newest."""
    held = SingleSessions()
    old = a_session(1)
    assert held.add(old, login(4, "old")) == []
    for news in (login(3, "older"), login(4, "old")):
        assert held.on_login(news) == []
    assert held.on_login(login(5, "new")) == [(old, Farewell.TAKEN_OVER)]
    assert held.on_login(login(5, "new")) == []
    assert held.users == []


def test_the_same_rule_next_door() -> None:
    """Two sessions of this node: the older goes, even if it is noted last."""
    held = SingleSessions()
    old, new = a_session(1), a_session(2)
    held.add(new, login(6, "new"))
    assert held.add(old, login(5, "old")) == [(old, Farewell.TAKEN_OVER)]
    newest = a_session(3)
    assert held.add(newest, login(7, "newest")) == [(new, Farewell.TAKEN_OVER)]
    assert held.users == ["Ann"]


def test_a_page_that_comes_back_is_not_told_of_itself() -> None:
    """Its own older session closes quietly, somebody else's is told."""
    held = SingleSessions()
    own, other = a_session(1), a_session(2)
    held.add(own, login(5, "page"))
    assert held.on_login(login(7, "page")) == [(own, Farewell.CONTINUED)]
    held.add(other, login(8, "other"))
    assert held.on_login(login(9, "page")) == [(other, Farewell.TAKEN_OVER)]


def test_other_users_stay() -> None:
    """A login is about one user; who has closed already is not told."""
    held = SingleSessions()
    ann, bob = a_session(1), a_session(2, "Bob")
    held.add(ann, login(1, "a"))
    held.add(bob, login(1, "b", "Bob"))
    held.remove(ann)
    held.remove(ann)
    assert held.on_login(login(9, "new")) == []
    assert held.users == ["Bob"]


def test_the_close_codes() -> None:
    """Who is told may not come back by itself; who is not has come back already."""
    assert Farewell.TAKEN_OVER.code is CloseCode.LOGGED_IN_ELSEWHERE
    assert Farewell.CONTINUED.code is CloseCode.NORMAL


@given(st.permutations(range(1, 7)), st.data())
def test_in_whatever_order_the_news_comes_the_highest_epoch_stays(
    epochs: list[int], data: st.DataObject
) -> None:
    """Local logins and news of remote ones, mixed, doubled: one session is left, or none."""
    local = data.draw(st.sets(st.sampled_from(epochs)))
    doubled = data.draw(st.permutations(epochs * 2))
    held = SingleSessions()
    gone: list[int] = []
    added = set()
    for epoch in doubled:
        news = login(epoch, f"s{epoch}")
        if epoch in local and epoch not in added:
            added.add(epoch)
            leaving = held.add(a_session(epoch), news)
        else:
            leaving = held.on_login(news)
        gone += [session.number for session, _ in leaving]
    gone += [session.number for session, _ in held.on_login(login(max(epochs), "s"))]
    assert sorted(gone) == sorted(local - {max(epochs)})
