"""Message ids: 42 bits of milliseconds since 2020, 10 bits of node number, 12 bits of a counter.

Milliseconds and counter together are one number that only grows, the *tick*: 4,096 ticks a
millisecond. When a millisecond has used its ticks the next one lends its own, and a clock that
is set back is waited out in the same way. Two nodes never share a node number, so their ids never
meet. An id is a number in the database and 16 hex digits everywhere else.
"""

from __future__ import annotations

EPOCH_MS = 1_577_836_800_000  # 2020-01-01 UTC, in milliseconds since 1970
MAX_NODE = 1023

_NODE_BITS = 10
_COUNTER_BITS = 12
_COUNTER_MASK = (1 << _COUNTER_BITS) - 1


class MessageIds:
    """Makes the ids of one node; every one is higher than those before and than ``above``.

    ``above`` is the highest id stored when the node's life began: it keeps a life apart from the
    one before when the clock was set back in between.
    """

    def __init__(self, node: int, above: int = 0) -> None:
        if not 1 <= node <= MAX_NODE:
            raise ValueError(f"node number {node}; expected 1 to {MAX_NODE}")
        self._node = node << _COUNTER_BITS
        self._next_tick = ((above >> _NODE_BITS + _COUNTER_BITS) + 1) << _COUNTER_BITS

    def take(self, now_ms: int, count: int) -> list[int]:
        """Make ``count`` ids at a time (milliseconds since 1970), the lowest first."""
        first = max((now_ms - EPOCH_MS) << _COUNTER_BITS, self._next_tick)
        self._next_tick = first + count
        node = self._node
        return [
            (tick & ~_COUNTER_MASK) << _NODE_BITS | node | tick & _COUNTER_MASK
            for tick in range(first, first + count)
        ]


def id_text(message_id: int) -> str:
    """Write an id as clients see it: 16 lower-case hex digits.

    >>> id_text(1 << 22)
    '0000000000400000'
    """
    return f"{message_id:016x}"
