"""The order of a conversation: deliver, hold, drop, read what is missing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zmqchat.core.sequence import READ_LIMIT, REORDER_WINDOW_S, Gap, Sequences


def started(after: int = 0, **limits: int) -> Sequences[str]:
    """Sequences that follow conversation "c" from a seq on."""
    sequences: Sequences[str] = Sequences(**limits)
    assert list(sequences.start("c", after, 0.0)) == []
    return sequences


def test_in_order_is_delivered_at_once() -> None:
    """Each next seq comes straight out, and nothing is ever due."""
    sequences = started()
    assert [list(sequences.offer("c", seq, f"m{seq}", 0.0)) for seq in (1, 2, 3)] == [
        ["m1"],
        ["m2"],
        ["m3"],
    ]
    assert sequences.next_due() is None


def test_an_earlier_seq_is_dropped() -> None:
    """A copy, or what lies before the start, is not delivered."""
    sequences = started(after=5)
    assert list(sequences.offer("c", 5, "old", 0.0)) == []
    assert list(sequences.offer("c", 6, "new", 0.0)) == ["new"]
    assert list(sequences.offer("c", 6, "copy", 0.0)) == []


def test_what_overtook_is_held_until_the_hole_is_filled() -> None:
    """A later seq waits, and comes out in order with what was missing."""
    sequences = started()
    assert list(sequences.offer("c", 3, "m3", 0.0)) == []
    assert list(sequences.offer("c", 2, "m2", 0.01)) == []
    assert sequences.next_due() == REORDER_WINDOW_S
    assert list(sequences.offer("c", 1, "m1", 0.02)) == ["m1", "m2", "m3"]
    assert sequences.next_due() is None
    assert sequences.gaps(9.0) == []


def test_a_gap_is_told_once_after_the_window_and_then_filled() -> None:
    """The hole is read once; the store's answer and what was held come out in order."""
    sequences = started()
    sequences.offer("c", 4, "m4", 0.0)
    assert sequences.gaps(REORDER_WINDOW_S / 2) == []
    (gap,) = sequences.gaps(REORDER_WINDOW_S)
    assert gap == Gap("c", 1, 3)
    assert sequences.gaps(1.0) == []
    assert sequences.next_due() is None
    found = [(2, "m2"), (1, "m1"), (3, "m3")]
    assert list(sequences.fill(gap, found, 1.0)) == ["m1", "m2", "m3", "m4"]


def test_what_the_store_does_not_have_is_passed_over() -> None:
    """The store's answer is final: a seq that is gone does not stop the conversation."""
    sequences = started()
    sequences.offer("c", 4, "m4", 0.0)
    (gap,) = sequences.gaps(1.0)
    assert list(sequences.fill(gap, [(2, "m2")], 1.0)) == ["m2", "m4"]
    assert list(sequences.offer("c", 5, "m5", 1.0)) == ["m5"]


def test_a_hole_that_fills_itself_while_it_is_read() -> None:
    """What arrives during the read is delivered once, whoever is first."""
    sequences = started()
    sequences.offer("c", 3, "m3", 0.0)
    (gap,) = sequences.gaps(1.0)
    assert list(sequences.offer("c", 1, "m1", 1.0)) == ["m1"]
    assert list(sequences.offer("c", 2, "m2", 1.0)) == ["m2", "m3"]
    assert list(sequences.fill(gap, [(1, "m1"), (2, "m2")], 1.1)) == []
    assert list(sequences.offer("c", 4, "m4", 1.2)) == ["m4"]
    assert sequences.next_due() is None


def test_a_failed_read_is_due_again() -> None:
    """If the store does not answer, the same gap is told again later, unless it closed."""
    sequences = started()
    sequences.offer("c", 2, "m2", 0.0)
    (gap,) = sequences.gaps(1.0)
    sequences.retry(gap, 2.0)
    assert sequences.next_due() == 2.0
    assert sequences.gaps(2.0) == [gap]
    assert list(sequences.offer("c", 1, "m1", 2.0)) == ["m1", "m2"]
    sequences.retry(gap, 3.0)
    assert sequences.next_due() is None
    assert sequences.gaps(9.0) == []


def test_above_the_hold_limit_the_store_is_asked() -> None:
    """What is too much to hold is not lost: it is read after what was held."""
    sequences = started(hold_limit=2)
    for seq in (2, 3, 4, 5):
        sequences.offer("c", seq, f"m{seq}", 0.0)
    (gap,) = sequences.gaps(1.0)
    assert gap == Gap("c", 1, 1)
    assert list(sequences.fill(gap, [(1, "m1")], 1.0)) == ["m1", "m2", "m3"]
    (rest,) = sequences.gaps(2.0)
    assert rest == Gap("c", 4, 5)
    assert list(sequences.fill(rest, [(4, "m4"), (5, "m5")], 2.0)) == ["m4", "m5"]


def test_an_answer_may_be_a_part_of_a_gap() -> None:
    """The rest is due again after another window, and nothing is passed over."""
    sequences: Sequences[int] = Sequences()
    sequences.start("c", 0, 0.0)
    sequences.offer("c", 6, 6, 0.0)
    (gap,) = sequences.gaps(REORDER_WINDOW_S)
    assert list(sequences.fill(gap, [(1, 1), (2, 2)], 1.0, last=2)) == [1, 2]
    assert sequences.next_due() == 1.0 + REORDER_WINDOW_S
    (rest,) = sequences.gaps(2.0)
    assert rest == Gap("c", 3, 5)
    assert list(sequences.fill(rest, [(3, 3), (5, 5)], 2.0)) == [3, 5, 6]


def test_what_is_heard_of_is_due_like_what_is_passed_over() -> None:
    """A seq that exists but was not offered is read after the window, unless it comes by itself."""
    sequences: Sequences[int] = Sequences()
    sequences.start("c", 3, 0.0)
    sequences.hear_of("c", 3, 0.0)
    assert sequences.next_due() is None
    sequences.hear_of("c", 5, 0.0)
    assert sequences.gaps(REORDER_WINDOW_S / 2) == []
    assert list(sequences.offer("c", 4, 4, 0.01)) == [4]
    assert sequences.gaps(1.0) == [Gap("c", 5, 5)]
    sequences.expect("d")
    sequences.hear_of("d", 2, 0.0)
    assert sequences.gaps(1.0) == []
    sequences.start("d", 1, 1.0)
    assert sequences.gaps(2.0) == [Gap("d", 2, 2)]


def test_a_long_gap_is_read_in_pages() -> None:
    """One gap spans at most the read limit; the next page follows."""
    sequences = started()
    top = READ_LIMIT + 2
    sequences.offer("c", top, "top", 0.0)
    (gap,) = sequences.gaps(1.0)
    assert gap == Gap("c", 1, READ_LIMIT)
    sequences.fill(gap, [], 1.0)
    (rest,) = sequences.gaps(2.0)
    assert rest == Gap("c", READ_LIMIT + 1, READ_LIMIT + 1)
    assert list(sequences.fill(rest, [], 2.0)) == ["top"]


def test_a_head_below_the_gap_ends_the_waiting() -> None:
    """Who told of more than the store has was wrong: nothing above the head is waited for."""
    sequences = started()
    sequences.offer("c", 900, "forged", 0.0)
    (gap,) = sequences.gaps(1.0)
    assert list(sequences.fill(gap, [(1, "m1")], 1.0, head=1)) == ["m1"]
    assert sequences.next_due() is None
    assert list(sequences.offer("c", 2, "m2", 1.0)) == ["m2"]


def test_an_answer_from_before_a_conversation_was_forgotten_is_not_taken() -> None:
    """The read belongs to the place that was, not to the one begun since."""
    sequences = started()
    sequences.offer("c", 2, "m2", 0.0)
    (old,) = sequences.gaps(1.0)
    sequences.forget("c")
    sequences.start("c", 5, 1.0)
    sequences.offer("c", 8, "m8", 1.0)
    (new,) = sequences.gaps(2.0)
    assert list(sequences.fill(old, [(1, "m1")], 2.0)) == []
    assert list(sequences.fill(new, [(6, "m6"), (7, "m7")], 2.0)) == ["m6", "m7", "m8"]


def test_an_unknown_start_holds_everything() -> None:
    """Until the start is known nothing comes out; then what lies above it does."""
    sequences: Sequences[str] = Sequences()
    sequences.expect("c")
    for seq in (7, 6, 8):
        assert list(sequences.offer("c", seq, f"m{seq}", 0.0)) == []
    assert sequences.next_due() is None
    assert list(sequences.start("c", 6, 1.0)) == ["m7", "m8"]
    assert list(sequences.start("c", 0, 1.0)) == []


def test_a_forgotten_conversation_leaves_nothing() -> None:
    """After `forget` neither a due time nor a late answer remains."""
    sequences = started()
    sequences.offer("c", 2, "m2", 0.0)
    (gap,) = sequences.gaps(1.0)
    sequences.forget("c")
    assert "c" not in sequences
    assert sequences.next_due() is None
    assert list(sequences.fill(gap, [(1, "m1")], 1.0)) == []


arrivals = st.lists(
    st.tuples(
        st.integers(1, 30),
        st.sampled_from(["offer", "offer", "offer", "read", "fail", "wait"]),
    ),
    max_size=80,
)


@given(arrivals, st.integers(0, 10), st.integers(1, 6), st.sets(st.integers(1, 30)))
def test_any_arrival_is_delivered_once_and_in_order(
    steps: list[tuple[int, str]], after: int, hold_limit: int, gone: set[int]
) -> None:
    """Whatever is lost, doubled or reordered, the outcome is the conversation without its holes."""
    sequences: Sequences[int] = Sequences(hold_limit=hold_limit)
    sequences.start("c", after, 0.0)
    now, seen = 0.0, 0
    open_gaps: list[Gap] = []
    delivered: list[int] = []

    def answer(gap: Gap) -> None:
        rows = [(seq, seq) for seq in range(gap.first, gap.last + 1) if seq not in gone]
        delivered.extend(sequences.fill(gap, rows, now))

    for seq, step in steps:
        if step == "offer" and seq not in gone:
            seen = max(seen, seq)
            delivered.extend(sequences.offer("c", seq, seq, now))
        elif step == "wait":
            now += REORDER_WINDOW_S
            open_gaps += sequences.gaps(now)
        elif open_gaps and step == "read":
            answer(open_gaps.pop())
        elif open_gaps:
            sequences.retry(open_gaps.pop(), now)
    for gap in open_gaps:
        answer(gap)
    while sequences.next_due() is not None:
        now += 1.0
        for gap in sequences.gaps(now):
            answer(gap)
    assert delivered == [seq for seq in range(after + 1, seen + 1) if seq not in gone]
