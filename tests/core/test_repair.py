"""Whom to ask for what is missing, and how often."""

from __future__ import annotations

from zmqchat.core.repair import MOST_IN_FLIGHT, Repair

TARGET = (5, 99)


def repair() -> Repair:
    """Repair that always waits the shortest time, 50 ms."""
    return Repair(lambda low, _high: low)


def ask(one: Repair, now: float, most_s: float = 8.0) -> list[int]:
    """Whom to ask at a moment."""
    return one.due(now, lambda _node: most_s)


def test_a_hole_is_left_alone_for_a_moment() -> None:
    """What fills it may be on its way; then its origin is asked once."""
    one = repair()
    one.open(7, TARGET, 1.0)
    assert one.next == 1.05
    assert ask(one, 1.04) == []
    assert ask(one, 1.05) == [7]
    assert ask(one, 1.5) == []


def test_an_origin_that_is_silent_is_asked_after_one_two_four_and_eight_seconds() -> None:
    """Not more often, and never less often than that."""
    one = repair()
    one.open(7, TARGET, 0.0)
    asked = [now / 10 for now in range(400) if ask(one, now / 10)]
    assert asked == [0.1, 1.1, 3.1, 7.1, 15.1, 23.1, 31.1, 39.1]


def test_an_origin_is_asked_at_least_every_two_of_its_beats() -> None:
    """When a link is back, nobody waits long."""
    one = repair()
    one.open(7, TARGET, 0.0)
    asked = [now / 10 for now in range(60) if ask(one, now / 10, most_s=2.0)]
    assert asked == [0.1, 1.1, 3.1, 5.1]


def test_no_more_than_eight_questions_are_open_and_a_place_is_given_on() -> None:
    """The ninth is asked when one of the eight has been answered or has timed out."""
    one = repair()
    for node in range(10):
        one.open(node, TARGET, 0.0)
    assert ask(one, 0.1) == list(range(MOST_IN_FLIGHT))
    one.close(3, 0.2)
    assert ask(one, 0.2) == [8]
    assert 9 in ask(one, 1.1)


def test_a_question_is_not_repeated_while_its_answer_comes_in() -> None:
    """Each chunk of a long answer moves the moment on."""
    one = repair()
    one.open(7, TARGET, 0.0)
    assert ask(one, 0.1) == [7]
    one.heard(7, 1.0)
    assert ask(one, 1.5) == []
    assert ask(one, 2.0) == [7]


def test_an_answer_that_is_not_enough_is_followed_by_a_question_soon() -> None:
    """More has changed meanwhile."""
    one = repair()
    one.open(7, TARGET, 0.0)
    assert ask(one, 0.1) == [7]
    one.open(7, (9, 1), 0.2)
    assert one.target(7) == (9, 1)
    one.progressed(7, 0.2)
    assert ask(one, 0.26) == [7]


def test_a_filled_hole_is_not_asked_about() -> None:
    """Nothing is left of it."""
    one = repair()
    one.open(7, TARGET, 0.0)
    one.close(7, 0.01)
    assert len(one) == 0
    assert ask(one, 60.0) == []
