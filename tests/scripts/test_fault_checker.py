"""The judge of the fault runs finds what is wrong with histories that were made up for it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scripts.faulting.checker import DATABASE, Verdict, Where, check
from scripts.faulting.history import Entry, History, View


def entry(seq: int, conversation: str = "u1") -> Entry:
    """The message with a seq, as everybody should have it."""
    return Entry(conversation, seq, f"{seq:016x}", f"{conversation}-{seq}")


ROWS = [entry(seq) for seq in range(1, 6)]


def judged(
    shown: Sequence[int] = (1, 2, 3, 4, 5),
    rows: Sequence[Entry] = ROWS,
    acks: Sequence[Entry] = ROWS,
    sent: Sequence[Entry] = ROWS,
    sees: str | None = "u1",
) -> Verdict:
    """Judge a run with one observer that was shown these seqs of one conversation."""
    history = History()
    history.sent = [one.text for one in sent]
    history.acks = list(acks)
    view = history.observer("page", sees).view("u1")
    for seq in shown:
        view.take(entry(seq))
    return check(history, rows)


def test_a_run_in_which_everybody_has_everything_is_clean() -> None:
    """Nothing is found where nothing is wrong."""
    verdict = judged()
    assert verdict.clean
    assert verdict.lost_by_place() == {Where.PREFIX: 0, Where.MIDDLE: 0, Where.END: 0}


@pytest.mark.parametrize(
    ("shown", "lost"),
    [
        ((2, 3, 4, 5), {1: Where.PREFIX}),
        ((1, 2, 5), {3: Where.MIDDLE, 4: Where.MIDDLE}),
        ((1, 2, 3), {4: Where.END, 5: Where.END}),
        ((), dict.fromkeys(range(1, 6), Where.END)),
    ],
)
def test_what_is_missing_is_told_with_its_place(
    shown: Sequence[int], lost: dict[int, Where]
) -> None:
    """Prefix, middle and end are told apart."""
    verdict = judged(shown)
    assert {one.entry.seq: one.where for one in verdict.lost} == lost
    assert not verdict.clean


def test_the_desk_misses_what_no_page_of_it_ever_showed() -> None:
    """Who follows all conversations loses a whole one that was never told of."""
    other = entry(1, "u2")
    rows = [*ROWS, other]
    assert [lost.entry for lost in judged(rows=rows, acks=rows, sent=rows, sees=None).lost] == [
        other
    ]
    assert judged(rows=rows, acks=rows, sent=rows).clean


def test_an_acknowledged_message_that_is_not_stored_is_lost() -> None:
    """The promise is the acknowledgement, not the row."""
    verdict = judged(shown=(1, 2, 3, 4), rows=ROWS[:4])
    assert [(lost.observer, lost.where) for lost in verdict.lost] == [
        (DATABASE, Where.END),
        ("page", Where.END),
    ]


def test_an_acknowledgement_with_another_seq_than_the_row_is_found() -> None:
    """It names a message that does not exist."""
    wrong = ROWS[0]._replace(seq=9)
    verdict = judged(acks=[wrong, *ROWS[1:]])
    assert [fault.entry for fault in verdict.unexpected] == [wrong]


def test_a_message_stored_twice_is_found() -> None:
    """A retry that became a second row is doubled for everybody."""
    twice = Entry("u1", 6, "f" * 16, ROWS[0].text)
    verdict = judged(rows=[*ROWS, twice])
    assert [(fault.observer, fault.entry) for fault in verdict.doubled] == [(DATABASE, twice)]


def test_a_seq_that_comes_twice_or_late_is_found() -> None:
    """What was shown comes again: doubled; what was passed over comes at last: out of order."""
    verdict = judged((1, 2, 2, 4, 3, 5))
    assert [fault.entry.seq for fault in verdict.doubled] == [2]
    assert [fault.entry.seq for fault in verdict.out_of_order] == [3]
    assert [(lost.entry.seq, lost.where) for lost in verdict.lost] == [(3, Where.MIDDLE)]


def test_what_nobody_sent_or_stored_is_found() -> None:
    """In the database without a sender, on a page without a row, at somebody it is not for."""
    assert [fault.observer for fault in judged(sent=ROWS[1:]).unexpected] == [DATABASE]
    shown_only = judged((1, 2, 3, 4, 5, 6))
    assert [fault.entry.seq for fault in shown_only.unexpected] == [6]
    assert len(judged(sees="u2").unexpected) == 5


def test_holes_and_missing_answers_are_found() -> None:
    """Seqs are 1, 2, 3 …; by the end of a run every message is acknowledged."""
    assert judged(rows=[*ROWS[:2], *ROWS[3:]]).holes == ["u1"]
    assert judged(acks=ROWS[:4]).unanswered == ["u1-5"]


def test_a_page_that_catches_up_takes_any_order_and_copies() -> None:
    """What it gathers is shown once and in order when it has caught up, and may come once more."""
    view = View()
    view.take(entry(1))
    view.unsettle()
    for seq in (4, 1, 2, 3, 4):
        assert not view.take(entry(seq))
    assert [one.seq for one in view.settle()] == [2, 3, 4]
    assert view.take(entry(5))
    assert not view.take(entry(3))
    assert [*view.doubled, *view.late] == []
