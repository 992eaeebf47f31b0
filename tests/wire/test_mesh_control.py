"""Control frames: what is encoded comes back, and what is hostile is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.errors import BadFrame
from zmqchat.wire.mesh import (
    DROP_REASONS,
    MAX_CHUNKS,
    MAX_ENTRIES,
    MAX_INTERVAL_MS,
    MAX_NODE,
    MAX_RELAYS,
    TOPIC_BEAT,
    Beat,
    Chat,
    Codec,
    Control,
    Delta,
    FrameType,
    Header,
    Probe,
    ProbeAck,
    SessionEntry,
    Snapshot,
    State,
    Suspicion,
    SyncRequest,
)

BIG = 2**64 - 1
INCARNATION = 1_790_000_000_000
SENDER, RECEIVER = Codec("c", 3, INCARNATION), Codec("c", 4, 1)
ENTRY = SessionEntry(BIG, "张" * 64, agent=True)
RELAYS = [(MAX_NODE, INCARNATION, BIG, 65_535)] * MAX_RELAYS


@pytest.mark.parametrize(
    "control",
    [
        Beat(500, 1, BIG, 3, State.DRAINING, 9, BIG, RELAYS),
        Delta(1, 3, [ENTRY], [1, 2], BIG),
        SyncRequest(INCARNATION, 3, BIG),
        Snapshot(BIG, 0, MAX_CHUNKS, [ENTRY] * 1000, BIG),
        Probe(BIG),
        ProbeAck(0),
        Suspicion(MAX_NODE, INCARNATION, BIG),
    ],
)
def test_control_frames_survive(control: Control) -> None:
    """Each comes back as it was, with where it came from, to everybody or to one node."""
    decoded = RECEIVER.decode(SENDER.encode_control(control, to_node=4))
    assert decoded is not None
    header, back = decoded
    assert back == control
    assert (header.node, header.incarnation) == (3, INCARNATION)


def test_a_usual_beat_is_small() -> None:
    """With eight relays and real incarnations at most 250 bytes, since all hear all of them."""
    relays = [(node, INCARNATION + node, 100_000, 900) for node in range(900, 908)]
    beat = Beat(4000, 100_000, 100_000, 500, State.UP, 10**6, BIG, relays)
    frame = SENDER.encode_control(beat)
    assert frame.startswith(TOPIC_BEAT)
    assert len(frame) <= 250


def _frame(kind: FrameType, body: Any) -> bytes:
    good = SENDER.encode_control(Probe(1), to_node=4)
    head = bytearray(good[: len(good) - len(msgspec.msgpack.encode(Probe(1)))])
    head[len("n/4/") + 1] = kind
    return bytes(head) + msgspec.msgpack.encode(body)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FrameType.BEAT, [MAX_INTERVAL_MS + 1, 1, 0, 0, 0, 0]),  # never missed
        (FrameType.BEAT, [500, 1, 0, 0, 7, 0]),  # no such state
        (FrameType.BEAT, [500, 1, 0, 0, 0, 0, 0, [[MAX_NODE + 1, 1, 1, 1]]]),
        (FrameType.BEAT, [500, 1, 0, 0, 0, 0, 0, [[1, 1, 1]]]),
        (FrameType.BEAT, [500, 1, 0, 0, 0, 0, 0, [[1, 1, 1, 1]] * (MAX_RELAYS + 1)]),
        (FrameType.BEAT, [500, -1, 0, 0, 0, 0]),
        (FrameType.DELTA, [0, 1, [[1, "u" * 65, False]], [], 0]),
        (FrameType.DELTA, [0, 1, [], [1] * (MAX_ENTRIES + 1), 0]),
        (FrameType.SNAPSHOT, [1, 0, 0, [], 0]),  # of no chunk
        (FrameType.SNAPSHOT, [1, 0, MAX_CHUNKS + 1, [], 0]),
        (FrameType.SUSPICION, [MAX_NODE + 1, 1, 1]),
        (FrameType.PROBE, ["1"]),
        (FrameType.PROBE_ACK, []),
    ],
)
def test_hostile_values_are_refused(kind: FrameType, body: Any) -> None:
    """What would keep a node alive for ever, or fill our memory, does not get in."""
    with pytest.raises(BadFrame) as refused:
        RECEIVER.decode(_frame(kind, body))
    assert refused.value.reason == "malformed"


def test_a_node_with_an_impossible_number_is_refused() -> None:
    """There is room for 1,023."""
    with pytest.raises(BadFrame):
        RECEIVER.decode(Codec("c", MAX_NODE + 1, 1).encode_control(Probe(1), to_node=4))


@given(st.sampled_from(list(FrameType)), st.binary(max_size=60))
def test_any_body_is_decoded_or_refused(kind: FrameType, body: bytes) -> None:
    """Nothing but a known frame comes out, and nothing but `BadFrame` is raised."""
    frame = _frame(kind, None)[:-1] + body
    try:
        decoded = RECEIVER.decode(frame)
    except BadFrame as refused:
        assert refused.reason in DROP_REASONS  # noqa: PT017 - either outcome is right
    else:
        assert decoded is not None
        assert isinstance(decoded[0], Header)
        assert isinstance(decoded[1], Chat | Control)
