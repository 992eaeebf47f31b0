"""When a node that starts may take sessions: what it says is heard, and it hears the others.

Knows which nodes are likely to live, what came from them, and the time it is told (monotonic,
seconds). Must not know where the list of nodes comes from, nor how frames travel.

- A link works both ways once a probe was answered. Control and chat have connections of their
  own, so each is probed the way its frames go; and of each node a beat is wanted, which tells
  what it carries.
- A newcomer also waits until it knows who is online on each of the others, as far as they have told
  of it: its first desk would see a list that is still growing.
- Probes that are not answered are repeated, since the first ones leave before anybody listens.
- Nobody is waited for beyond `MOST_S`: who is frozen, or died without a word, may still be listed.
- An answer counts if it has this life's number: one to an earlier life may come late.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from zmqchat.wire.mesh import Beat, Control, Header, Probe, ProbeAck

MOST_S = 3.0
FIRST_PAUSE_S = 0.02  # between the first two rounds of probes, doubled each time
LONGEST_PAUSE_S = 0.2


class Sign(enum.Enum):
    """What is wanted of each node."""

    BEAT = "beat"
    CONTROL_ACK = "control ack"
    CHAT_ACK = "chat ack"


class Joining:
    """Whose links are known to work. ``number`` is in this life's probes and in no other's."""

    def __init__(self, number: int, now: float) -> None:
        self.next = now  # when to ask again
        self._probes = {
            Sign.CONTROL_ACK: Probe(number),
            Sign.CHAT_ACK: Probe(number, with_chat=True),
        }
        self._signs = {
            ProbeAck(probe.number, probe.with_chat): sign for sign, probe in self._probes.items()
        }
        self._ends = now + MOST_S
        self._pause_s = FIRST_PAUSE_S
        self._expected: frozenset[int] = frozenset()
        self._behind: frozenset[int] = frozenset()
        self._seen: dict[int, set[Sign]] = {}
        self._incarnations: dict[int, int] = {}

    def expect(self, nodes: Iterable[int], behind: Iterable[int] = ()) -> None:
        """Wait for exactly these from now on; what came from them before counts.

        ``behind`` are those of whose sessions something is still missing.
        """
        self._expected = frozenset(nodes)
        self._behind = frozenset(behind)

    def on_control(self, header: Header, control: Control) -> bool:
        """Take a frame of a node, expected or not; True if it is one that was wanted."""
        sign = Sign.BEAT if isinstance(control, Beat) else None
        if isinstance(control, ProbeAck):
            sign = self._signs.get(control)
        if sign is None or sign in (seen := self._seen_of(header)):
            return False
        seen.add(sign)
        return True

    def missing(self) -> list[int]:
        """Tell which of the expected are not known, not heard, or do not hear us, some way."""
        return sorted(
            node
            for node in self._expected
            if node in self._behind or len(self._seen.get(node, ())) < len(Sign)
        )

    def is_over(self, now: float) -> bool:
        """Whether nothing is missing, or has been for too long."""
        return now >= self._ends or not self.missing()

    def probes(self, now: float) -> list[tuple[Probe, int]]:
        """Return which probes are to be sent now, each with whom to; none before `next`."""
        if now < self.next:
            return []
        self.next = min(now + self._pause_s, max(now, self._ends))
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        return [
            (probe, node)
            for node in self.missing()
            for sign, probe in self._probes.items()
            if sign not in self._seen.get(node, ())
        ]

    def _seen_of(self, header: Header) -> set[Sign]:
        """Find what was seen of the newest life of a node; of an older one nothing counts."""
        newest = self._incarnations.setdefault(header.node, header.incarnation)
        if header.incarnation < newest:
            return set()
        if header.incarnation > newest:
            self._incarnations[header.node] = header.incarnation
            self._seen.pop(header.node, None)
        return self._seen.setdefault(header.node, set())
