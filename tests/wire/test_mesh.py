"""Frames between nodes: what is encoded comes back, and nothing else does any harm."""

from __future__ import annotations

import dataclasses
import tracemalloc
import zlib

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zmqchat.errors import BadFrame
from zmqchat.wire.mesh import (
    COMPRESS_OVER_BYTES,
    DROP_REASONS,
    MAX_CHUNKS,
    MAX_FRAME_BYTES,
    MAX_INTERVAL_MS,
    MAX_RELAYS,
    TOPIC_BEAT,
    TOPIC_CHAT,
    TOPIC_PRESENCE,
    TOPIC_TAKEOVER,
    Audience,
    Beat,
    Chat,
    ChatKind,
    Codec,
    Control,
    Delta,
    Header,
    Probe,
    ProbeAck,
    SessionEntry,
    Snapshot,
    State,
    Suspicion,
    SyncRequest,
    Takeover,
    cluster_tag,
    goes_with_chat,
    node_topic,
)

MIB = 1024 * 1024

u64 = st.integers(0, 2**64 - 1)
nodes = st.integers(1, 1023)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
entries = st.builds(SessionEntry, u64, names, st.booleans())
# Bodies that compress and bodies that do not, around the threshold.
bodies = st.one_of(
    st.binary(max_size=300),
    st.builds(bytes.__mul__, st.binary(min_size=1, max_size=9), st.integers(0, 2000)),
    st.binary(min_size=COMPRESS_OVER_BYTES - 2, max_size=COMPRESS_OVER_BYTES + 2),
)
chats = st.builds(
    Chat, st.sampled_from(ChatKind), st.sampled_from(Audience), names, u64, bodies, st.booleans()
)
controls: st.SearchStrategy[Control] = st.one_of(
    st.builds(
        Beat,
        st.integers(0, MAX_INTERVAL_MS),
        u64,
        u64,
        u64,
        st.sampled_from(State),
        u64,
        u64,
        st.lists(st.tuples(nodes, u64, u64, u64), max_size=MAX_RELAYS),
    ),
    st.builds(Delta, u64, u64, st.lists(entries, max_size=20), st.lists(u64, max_size=20)),
    st.builds(Snapshot, u64, u64, st.integers(1, MAX_CHUNKS), st.lists(entries, max_size=20)),
    st.builds(SyncRequest, u64, u64),
    st.builds(Probe, u64, st.booleans()),
    st.builds(ProbeAck, u64, st.booleans()),
    st.builds(Suspicion, nodes, u64, u64),
    st.builds(Takeover, names, u64, names),
)


@dataclasses.dataclass(frozen=True)
class Sent:
    """A frame of node 7, and what it says."""

    frame: bytes
    event: Chat | Control


def _sent(event: Chat | Control) -> Sent:
    codec = Codec("c", 7, 3)
    if isinstance(event, Chat):
        return Sent(codec.encode_chat(event), event)
    to_node = None if isinstance(event, Beat | Delta | Suspicion) else 1
    return Sent(codec.encode_control(event, to_node), event)


frames = st.builds(_sent, st.one_of(chats, controls))


def _reader() -> Codec:
    return Codec("c", 1, 1)


def _refused(frame: bytes) -> str:
    """Why a frame is refused."""
    with pytest.raises(BadFrame) as caught:
        _reader().decode(frame)
    assert caught.value.reason in DROP_REASONS
    return caught.value.reason


def _decode_or_refuse(frame: bytes) -> tuple[Header, Chat | Control] | None:
    try:
        return _reader().decode(frame)
    except BadFrame as bad:
        reason = bad.reason
    assert reason in DROP_REASONS
    return None


# -- what is encoded comes back -----------------------------------------------------------------


@given(st.lists(chats, min_size=1, max_size=5), nodes, u64)
def test_chats_come_back_with_their_origin_and_number(
    events: list[Chat], node: int, incarnation: int
) -> None:
    """Each chat of a node is what it was, and numbered one by one."""
    writer, reader = Codec("c", node, incarnation), Codec("c", node % 1023 + 1, 1)
    for number, event in enumerate(events, start=1):
        frame = writer.encode_chat(event)
        assert frame.startswith(TOPIC_CHAT)
        assert reader.decode(frame) == (Header(node, incarnation, number), event)
    assert (writer.chat_oseq, writer.control_oseq) == (len(events), 0)


@given(st.lists(controls, min_size=1, max_size=5), nodes, u64)
def test_controls_come_back_with_their_origin_and_number(
    events: list[Control], node: int, incarnation: int
) -> None:
    """The same for control frames, which are numbered by themselves."""
    writer, reader = Codec("c", node, incarnation), Codec("c", node % 1023 + 1, 1)
    for number, event in enumerate(events, start=1):
        frame = writer.encode_control(event, to_node=reader.node)
        assert frame.startswith(node_topic(reader.node, with_chat=goes_with_chat(event)))
        assert reader.decode(frame) == (Header(node, incarnation, number), event)
    assert (writer.chat_oseq, writer.control_oseq) == (0, len(events))


def test_topics_of_what_is_for_everybody() -> None:
    """Beats, deltas and takeovers go out under topics of their own."""
    codec = Codec("c", 7, 3)
    assert codec.encode_control(Beat(1, 1, 1, 1, State.UP, 1)).startswith(TOPIC_BEAT)
    assert codec.encode_control(Delta(1, 2, [], [])).startswith(TOPIC_PRESENCE)
    assert codec.encode_control(Takeover("u1", 2, "s")).startswith(TOPIC_TAKEOVER)


@given(nodes, nodes)
def test_no_topic_of_a_node_begins_with_another(one: int, other: int) -> None:
    """A subscription is a prefix; that of node 1 must not bring what is for node 10."""
    assert node_topic(one).startswith(node_topic(other)) == (one == other)


@given(frames)
def test_own_frames_are_none(sent: Sent) -> None:
    """What a forwarder sends back to its origin is nothing, whatever its incarnation."""
    assert Codec("c", 7, 999).decode(sent.frame) is None


@pytest.mark.parametrize("size", [0, 1, COMPRESS_OVER_BYTES, COMPRESS_OVER_BYTES + 1])
def test_only_bodies_above_the_threshold_are_compressed(size: int) -> None:
    """A small frame is its parts; a large one of one letter is much smaller than its body."""
    frame = _sent(Chat(ChatKind.MESSAGE, Audience.ALL, "c", 1, b"x" * size)).frame
    assert (len(frame) < size) == (size > COMPRESS_OVER_BYTES)


@given(st.integers(0, 5), st.binary(min_size=1, max_size=9))
def test_bodies_up_to_the_limit_pass(below: int, pattern: bytes) -> None:
    """Just below and at the limit, compressed."""
    body = (pattern * MAX_FRAME_BYTES)[: MAX_FRAME_BYTES - below]
    sent = _sent(Chat(ChatKind.MESSAGE, Audience.ALL, "c", 1, body))
    decoded = _reader().decode(sent.frame)
    assert decoded is not None
    assert decoded[1] == sent.event


def test_a_body_past_the_limit_is_not_encoded() -> None:
    """Both kinds of frame name the size and the limit, and use no number."""
    codec = Codec("c", 7, 3)
    with pytest.raises(ValueError, match=f"{MAX_FRAME_BYTES + 1} bytes exceeds {MAX_FRAME_BYTES}"):
        codec.encode_chat(Chat(ChatKind.MESSAGE, Audience.ALL, "c", 1, bytes(MAX_FRAME_BYTES + 1)))
    long_name = SessionEntry(1, "x" * MAX_FRAME_BYTES, agent=False)
    with pytest.raises(ValueError, match=f"exceeds {MAX_FRAME_BYTES}"):
        codec.encode_control(Snapshot(1, 0, 1, [long_name]), to_node=1)
    assert (codec.chat_oseq, codec.control_oseq) == (0, 0)


# -- whatever else comes is refused, or is somebody's frame --------------------------------------


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(noise: bytes) -> None:
    """Bytes of nobody's: the tag of the cluster alone makes a frame of them unlikely."""
    _refused(noise)


@given(st.sampled_from([TOPIC_CHAT, TOPIC_BEAT, node_topic(1)]), st.integers(0, 6), st.binary())
def test_random_bytes_behind_a_proper_header_are_refused_or_decoded(
    topic: bytes, frame_type: int, noise: bytes
) -> None:
    """The header is right and the rest is anything: nothing but `BadFrame` is raised."""
    header = b"\x01" + bytes([frame_type, noise[0] if noise else 0, 0])
    tag = cluster_tag("c").to_bytes(4, "big")
    _decode_or_refuse(topic + header + tag + b"\0\7" + bytes(16) + noise)


@given(frames, st.data())
def test_truncated_frames_are_refused_or_shorter(sent: Sent, data: st.DataObject) -> None:
    """A frame that ends early is refused, unless only a chat's plain body is shorter."""
    length = data.draw(st.integers(0, len(sent.frame) - 1))
    decoded = _decode_or_refuse(sent.frame[:length])
    if decoded is not None:
        event = decoded[1]
        assert isinstance(event, Chat)
        assert isinstance(sent.event, Chat)
        assert sent.event.body.startswith(event.body)
        assert len(event.body) < len(sent.event.body)


@given(frames, st.data())
def test_flipped_bits_are_refused_or_decoded(sent: Sent, data: st.DataObject) -> None:
    """Up to four flipped bits anywhere raise nothing but `BadFrame`."""
    flipped = bytearray(sent.frame)
    for place in data.draw(st.lists(st.integers(0, 8 * len(flipped) - 1), min_size=1, max_size=4)):
        flipped[place // 8] ^= 1 << place % 8
    _decode_or_refuse(bytes(flipped))


@given(frames, st.binary(min_size=1, max_size=20))
def test_bytes_behind_a_control_frame_are_refused(sent: Sent, tail: bytes) -> None:
    """A control frame is exactly one object; behind a chat's plain body nothing can be told."""
    if isinstance(sent.event, Chat) and len(sent.event.body) <= COMPRESS_OVER_BYTES:
        return
    assert _refused(sent.frame + tail) in {"malformed", "too_large"}


@given(frames, st.integers(0, 255).filter(lambda version: version != 1))
def test_another_version_is_refused(sent: Sent, version: int) -> None:
    """Before anything behind it is read, since that may mean something else there."""
    place = sent.frame.index(b"/", 2 if sent.frame.startswith(b"n/") else 0) + 1
    frame = sent.frame[:place] + bytes([version]) + sent.frame[place + 1 :]
    assert _refused(frame) == "version"


@given(chats, names.filter(lambda name: name != "c"))
@example(Chat(ChatKind.MESSAGE, Audience.ALL, "c", 1, b""), "C")
def test_another_cluster_is_refused(event: Chat, cluster: str) -> None:
    """Two clusters on one network keep apart by their tags."""
    assert _refused(Codec(cluster, 7, 3).encode_chat(event)) == "cluster"


PLAIN = _sent(Chat(ChatKind.MESSAGE, Audience.ALL, "customer", 1, b"{}")).frame
BEAT = _sent(Beat(500, 1, 1, 0, State.UP, 0)).frame
_HEADER_END = len(TOPIC_CHAT) + 26


def _with(frame: bytes, place: int, value: bytes) -> bytes:
    return frame[:place] + value + frame[place + len(value) :]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "truncated"),
        (b"n/1", "truncated"),
        (b"n/" + b"1" * 1000, "truncated"),
        (PLAIN[:_HEADER_END], "truncated"),
        (_with(PLAIN, 3, b"\x00"), "type"),
        (_with(PLAIN, 3, b"\x63"), "type"),
        (_with(PLAIN, 3, b"\x02"), "malformed"),  # the chat's bytes said to be a beat's
        (_with(PLAIN, _HEADER_END, b"\x63"), "type"),  # kind
        (_with(PLAIN, _HEADER_END + 1, b"\x63"), "type"),  # audience
        (_with(PLAIN, _HEADER_END + 10, b"\xff\xff"), "truncated"),  # the name's length lies
        (_with(PLAIN, _HEADER_END + 12, b"\xff"), "malformed"),  # the name is not UTF-8
        (_with(PLAIN, 4, b"\x01"), "malformed"),  # said to be compressed
        (_with(BEAT, 4, b"\x01"), "malformed"),
        (BEAT[:_HEADER_END], "malformed"),
        (BEAT[:_HEADER_END] + b"\xdd\xff\xff\xff\xff", "malformed"),  # 4,294,967,295 elements
        (BEAT[:_HEADER_END] + b"\x91" * 100_000, "malformed"),  # nested without end
        (BEAT[:_HEADER_END] + b"\x96\xff\x01\x01\x01\x00\x01", "malformed"),  # a negative interval
        (BEAT[:_HEADER_END] + b"\x96\x01\x01\x01\x01\x63\x01", "malformed"),  # an unknown state
        (PLAIN + bytes(MAX_FRAME_BYTES), "too_large"),
    ],
)
def test_each_lie_has_its_reason(frame: bytes, reason: str) -> None:
    """Reasons are what an operator counts by, so they must tell kinds apart."""
    assert _refused(frame) == reason


# -- memory --------------------------------------------------------------------------------------


def _peak_bytes(frame: bytes) -> int:
    """The most memory that reading a frame takes, beyond the frame."""
    tracemalloc.start()
    try:
        _decode_or_refuse(frame)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _compressed(frame: bytes, body: bytes) -> bytes:
    return _with(frame, 4, b"\x01") + zlib.compress(body)


@pytest.mark.parametrize("frame", [PLAIN[:-2], BEAT[:_HEADER_END]], ids=["chat", "control"])
def test_a_compression_bomb_is_not_inflated(frame: bytes) -> None:
    """32 MiB in a frame of 32 KiB: refused, at the cost of the limit and no more."""
    bomb = _compressed(frame, bytes(32 * MIB))
    assert _refused(bomb) == "too_large"
    assert _peak_bytes(bomb) < 4 * MIB


@pytest.mark.parametrize("tail", [zlib.compress(bytes(32 * MIB)), b"x"], ids=["bomb", "byte"])
def test_bytes_behind_the_compressed_body_are_refused(tail: bytes) -> None:
    """A second stream behind the first is not read."""
    frame = _compressed(PLAIN[:-2], b"{}") + tail
    assert _refused(frame) == "malformed"
    assert _peak_bytes(frame) < 4 * MIB


@pytest.mark.parametrize(
    "body",
    [
        b"\xdd\xff\xff\xff\xff" + bytes(1000),
        b"\xdf\xff\xff\xff\xff" + bytes(1000),
        b"\x94\x00\x00\x01\xdd\xff\xff\xff\xff" + b"\x93\x00\xa0\xc2" * 1000,
        b"\x94\x00\x00\x01\xdd\x00\x01\xf0\x00" + b"\x93\x00\xa0\xc2" * 0x1F000,
        b"\x94\x00\x00\x01\x91\x93\x00\xdb\xff\xff\xff\xff",
        b"\x91" * MAX_FRAME_BYTES,
    ],
    ids=["array", "map", "sessions that lie", "sessions that are there", "name", "nesting"],
)
def test_control_bodies_take_no_more_than_they_hold(body: bytes) -> None:
    """Lengths that lie reserve nothing, and the largest honest list stays within bounds."""
    snapshot = _with(_sent(Snapshot(1, 0, 1, [])).frame, 0, b"n/1/")
    start = len(snapshot) - len(msgspec.msgpack.encode(Snapshot(1, 0, 1, [])))
    assert _peak_bytes(snapshot[:start] + body) < 32 * MIB
