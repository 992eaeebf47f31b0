"""Which chat frames of other nodes have come."""

from __future__ import annotations

import math
import random

import pytest

from zmqchat.core.arrivals import WINDOW_S, Arrivals

LATER = WINDOW_S + 0.001


def heard(*oseqs: int) -> Arrivals:
    """What is known after these frames of node 1, whose first was looked up already."""
    arrivals = Arrivals()
    arrivals.on_told(1, 7, 0, now=-10.0)
    assert arrivals.missed(0.0)
    for oseq in oseqs:
        arrivals.on_frame(1, 7, oseq, now=0.0)
    return arrivals


@pytest.mark.parametrize(
    ("oseqs", "told", "missed"),
    [
        ((1, 2, 3), 3, False),
        ((1, 2, 3), 4, True),  # the last one is lost
        ((1, 3), 3, True),  # one in between is lost
        ((2, 1, 3), 3, False),  # they overtook each other
        ((1, 3, 2, 2, 1, 3), 3, False),  # and came twice, through two forwarders
        ((1, 2, 3), 2, False),  # a beat that is older than the frame
        ((), 1, True),
        ((), 0, False),
    ],
)
def test_what_is_missing_for_longer_than_the_window(
    oseqs: tuple[int, ...], told: int, missed: bool
) -> None:
    """A frame that was passed over, or told of, and does not come, is missed; once."""
    arrivals = heard(*oseqs)
    arrivals.on_told(1, 7, told, now=0.0)
    assert not arrivals.missed(WINDOW_S / 2)
    assert arrivals.missed(LATER) is missed
    assert not arrivals.missed(2 * LATER)
    assert arrivals.next_due == math.inf


def test_what_was_given_up_and_what_follows_it_are_not_missed_again() -> None:
    """After a loss the count goes on behind it."""
    arrivals = heard(1, 4)
    assert arrivals.missed(LATER)
    arrivals.on_frame(1, 7, 3, now=LATER)  # late
    arrivals.on_frame(1, 7, 5, now=LATER)
    arrivals.on_told(1, 7, 5, now=LATER)
    assert not arrivals.missed(3 * LATER)
    arrivals.on_frame(1, 7, 7, now=3 * LATER)
    assert arrivals.missed(4 * LATER)


def test_a_hole_that_closes_in_time_leaves_the_next_its_own_window() -> None:
    """A second hole is not judged by the age of the first."""
    arrivals = heard(2)
    arrivals.on_frame(1, 7, 1, now=WINDOW_S / 2)
    arrivals.on_frame(1, 7, 4, now=WINDOW_S / 2)
    assert not arrivals.missed(LATER)
    assert arrivals.next_due == pytest.approx(1.5 * WINDOW_S)
    assert arrivals.missed(1.5 * WINDOW_S)


def test_a_newcomer_may_have_spoken_before() -> None:
    """The first word of a node, or of a new life of one, asks for a look; an old life does not."""
    arrivals = heard(1)
    arrivals.on_frame(2, 1, 50, now=0.0)
    arrivals.on_frame(2, 1, 51, now=0.0)
    assert arrivals.missed(LATER)
    arrivals.on_told(1, 8, 0, now=LATER)
    assert arrivals.missed(2 * LATER)
    arrivals.on_frame(1, 7, 9, now=2 * LATER)
    arrivals.on_told(1, 7, 12, now=2 * LATER)
    assert not arrivals.missed(4 * LATER)


def test_a_forgotten_node_is_a_newcomer_again() -> None:
    """Nothing is left of a node that is gone."""
    arrivals = heard(1)
    arrivals.forget(1)
    arrivals.forget(5)
    arrivals.on_frame(1, 7, 2, now=0.0)
    assert arrivals.missed(LATER)


def test_any_mixture_of_order_loss_and_copies_is_told_rightly() -> None:
    """Missed exactly if something is missing, whatever the order and the copies."""
    for seed in range(300):
        rng = random.Random(seed)
        told = rng.randint(1, 12)
        lost = set(rng.sample(range(1, told + 1), rng.choice([0, 0, 1, 2])) if told > 1 else [])
        frames = [oseq for oseq in range(1, told + 1) if oseq not in lost] * rng.randint(1, 2)
        rng.shuffle(frames)
        arrivals = heard(*frames)
        arrivals.on_told(1, 7, told, now=0.0)
        assert arrivals.missed(LATER) is bool(lost), seed
