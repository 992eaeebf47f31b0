"""Message ids: unique, growing, and made of the parts they are said to have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.store.ids import EPOCH_MS, MAX_NODE, MessageIds, id_text

DAY_MS = 86_400_000
CLOCKS = st.integers(0, EPOCH_MS + 60 * 365 * DAY_MS)  # also set to 1970
TAKES = st.lists(st.tuples(CLOCKS, st.integers(1, 500)), min_size=1, max_size=30)


@given(TAKES, st.integers(1, MAX_NODE))
def test_ids_only_grow_whatever_the_clock_does(takes: list[tuple[int, int]], node: int) -> None:
    """Ids are unique and in order, fit a signed BIGINT, and name their node."""
    ids = MessageIds(node)
    made = [message_id for now_ms, count in takes for message_id in ids.take(now_ms, count)]
    assert len(made) == sum(count for _, count in takes)
    assert made == sorted(set(made))
    assert all(0 < message_id < 2**63 for message_id in made)
    assert {message_id >> 12 & 1023 for message_id in made} == {node}


@given(TAKES, TAKES, st.integers(1, MAX_NODE))
def test_a_new_life_goes_on_above_the_last_one(
    first: list[tuple[int, int]], second: list[tuple[int, int]], node: int
) -> None:
    """Told the highest id, a new life makes none that could have been made before."""
    ids = MessageIds(node)
    highest = max(max(ids.take(now_ms, count)) for now_ms, count in first)
    ids = MessageIds(node, above=highest)
    assert all(min(ids.take(now_ms, count)) > highest for now_ms, count in second)


@given(TAKES, st.integers(1, MAX_NODE), st.integers(1, MAX_NODE))
def test_two_nodes_never_meet(takes: list[tuple[int, int]], one: int, two: int) -> None:
    """Nodes with different numbers make different ids, even by the same clock."""
    made = [
        {message_id for now_ms, count in takes for message_id in ids.take(now_ms, count)}
        for ids in (MessageIds(one), MessageIds(two))
    ]
    assert bool(made[0] & made[1]) == (one == two)


def test_a_used_up_millisecond_borrows_the_next() -> None:
    """The 4,097th id of a millisecond is the first of the next one, and the clock catches up."""
    ids = MessageIds(1)
    made = ids.take(EPOCH_MS + 7, 4097)
    assert [message_id >> 22 for message_id in (made[0], made[4095], made[4096])] == [7, 7, 8]
    assert ids.take(EPOCH_MS + 7, 1)[0] == made[4096] + 1
    assert ids.take(EPOCH_MS + 9, 1)[0] == 9 << 22 | 1 << 12


@pytest.mark.parametrize("node", [0, 1024, -1])
def test_a_node_number_out_of_range_is_refused(node: int) -> None:
    """There are ten bits for it, and no node is number 0."""
    with pytest.raises(ValueError, match="expected 1 to 1023"):
        MessageIds(node)


def test_ids_are_sixteen_lower_case_hex_digits_that_sort_like_numbers() -> None:
    """Clients may compare them as text."""
    assert id_text(0xABC) == "0000000000000abc"
    assert id_text(2**63 - 1) == "7fffffffffffffff"
    assert id_text(0xFF) < id_text(0x100)
