"""When a node that starts may take sessions."""

from __future__ import annotations

import itertools

import pytest

from zmqchat.core.joining import LONGEST_PAUSE_S, MOST_S, Joining
from zmqchat.wire.mesh import Beat, Control, Header, Probe, ProbeAck, State

LIFE = 100  # number of the probes of the node that joins
BEAT = Beat(500, 1, 0, 0, State.UP, 0)
CONTROL_ACK = ProbeAck(LIFE)
CHAT_ACK = ProbeAck(LIFE, with_chat=True)
ALL: tuple[Control, ...] = (BEAT, CONTROL_ACK, CHAT_ACK)


def joining(*expected: int) -> Joining:
    """One that begins at 0 and waits for some."""
    one = Joining(LIFE, 0.0)
    one.expect(expected)
    return one


def hear(one: Joining, node: int, *controls: Control, incarnation: int = 1) -> list[bool]:
    """Hand it frames of a node; whether each was wanted."""
    return [one.on_control(Header(node, incarnation, 0), control) for control in controls]


def test_who_is_alone_need_not_wait() -> None:
    """It is over at once, and nobody is probed."""
    one = joining()
    assert one.is_over(0.0)
    assert one.probes(0.0) == []


def test_it_is_over_when_all_have_beaten_and_answered_both_ways() -> None:
    """Every node, every sign; what came before a node was expected counts."""
    one = joining(7)
    assert hear(one, 7, *ALL) == [True, True, True]
    assert one.is_over(0.1)
    hear(one, 9, *ALL)
    one.expect([7, 8, 9])
    assert one.missing() == [8]
    hear(one, 8, *ALL)
    assert one.is_over(0.2)


def test_who_is_online_elsewhere_is_to_be_known() -> None:
    """A node of whose sessions something is missing is waited for, as long as for any other."""
    one = joining(7)
    hear(one, 7, *ALL)
    one.expect([7], behind=[7, 8])
    assert one.missing() == [7]
    assert not one.is_over(MOST_S - 0.01)
    assert one.is_over(MOST_S)
    one.expect([7], behind=[8])
    assert one.is_over(0.1)


@pytest.mark.parametrize("lacking", range(3))
def test_one_sign_of_three_is_missing(lacking: int) -> None:
    """A beat, an answer among control frames and one among chat: none stands for another."""
    one = joining(7)
    hear(one, 7, *(sign for number, sign in enumerate(ALL) if number != lacking))
    assert one.missing() == [7]
    assert not one.is_over(MOST_S - 0.01)


def test_nobody_is_waited_for_longer_than_three_seconds() -> None:
    """Then it is over, and says who did not answer."""
    one = joining(7, 8)
    hear(one, 8, *ALL)
    assert one.is_over(MOST_S)
    assert one.missing() == [7]


def test_probes_are_repeated_ever_more_slowly_to_those_who_did_not_answer() -> None:
    """The first follow each other fast; each way that was answered is left alone."""
    one = joining(7, 8)
    control, chat = Probe(LIFE), Probe(LIFE, with_chat=True)
    assert one.probes(0.0) == [(control, 7), (chat, 7), (control, 8), (chat, 8)]
    assert one.probes(0.01) == []
    hear(one, 7, CONTROL_ACK)
    hear(one, 8, CONTROL_ACK, CHAT_ACK)
    rounds = []
    while not one.is_over(one.next):
        now = one.next
        rounds.append(now)
        assert one.probes(now) == [(chat, 7)]
    assert rounds[:4] == pytest.approx([0.02, 0.06, 0.14, 0.3])
    assert max(later - now for now, later in itertools.pairwise(rounds)) == (
        pytest.approx(LONGEST_PAUSE_S)
    )
    assert one.next == MOST_S


def test_answers_to_others_and_to_an_earlier_life_do_not_count() -> None:
    """Only the number of this life does."""
    one = joining(7)
    assert hear(one, 7, BEAT, ProbeAck(LIFE - 1), ProbeAck(3, with_chat=True), Probe(LIFE)) == [
        True,
        False,
        False,
        False,
    ]
    assert one.missing() == [7]


def test_a_node_that_starts_again_has_to_answer_again() -> None:
    """What its earlier life said proves nothing of the links to the new one."""
    one = joining(7)
    hear(one, 7, *ALL, incarnation=1)
    hear(one, 7, BEAT, incarnation=2)
    assert one.missing() == [7]
    assert hear(one, 7, CONTROL_ACK, CHAT_ACK, incarnation=1) == [True, True]
    assert one.missing() == [7]
    hear(one, 7, CONTROL_ACK, CHAT_ACK, incarnation=2)
    assert one.missing() == []
