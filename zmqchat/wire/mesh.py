"""Frames between nodes: one ZeroMQ part of topic, header and body.

Layout, integers in network order::

    topic    ASCII, ends in "/": m/  h/  p/  k/  n/<node>/  n/c<node>/
    header   version u8, type u8, flags u8, pad u8, cluster tag u32,
             node u16, incarnation u64, oseq u64
    chat     kind u8, audience u8, seq u64, conversation length u16, conversation (UTF-8),
             then the browser's bytes (zlib if flagged)
    control  MessagePack (zlib if flagged)

``oseq`` counts the frames of an origin and class (chat or control), so that a hole is seen. A
receiver routes a chat frame without touching its JSON. Whatever cannot be read raises `BadFrame`
with one of `DROP_REASONS`; nothing here trusts a length or a size that a frame claims.
"""

from __future__ import annotations

import enum
import hashlib
import struct
import zlib
from typing import Annotated, Any

import msgspec

from zmqchat.errors import BadFrame
from zmqchat.names import MAX_NAME_CHARS

VERSION = 1
COMPRESS_OVER_BYTES = 4096
# 64 KiB of text may become six times longer by JSON's escapes, and the envelope comes on top.
MAX_FRAME_BYTES = 512 * 1024
MAX_NODE = 1023  # row number of a node in the database
MAX_ENTRIES = 4096  # lines of a presence log in one frame; senders stay far below
MAX_CHUNKS = 4096  # of one snapshot
MAX_LOGIN_CHARS = 128  # of a login's name: a node's, an incarnation and a number
MAX_RELAYS = 16  # beats of others in one beat
MAX_INTERVAL_MS = 60_000  # between two beats: a longer one would never be missed

TOPIC_CHAT = b"m/"
TOPIC_BEAT = b"h/"
TOPIC_PRESENCE = b"p/"
TOPIC_TAKEOVER = b"k/"
TOPIC_NODE = b"n/"

DROP_REASONS = ("truncated", "version", "cluster", "type", "malformed", "too_large")


def node_topic(node: int, *, with_chat: bool = False) -> bytes:
    """Topic of the frames meant for one node alone; the final slash keeps 1 from matching 10.

    Those that travel ``with_chat`` have one of their own, so that each is heard on one socket.
    """
    return b"%s%s%d/" % (TOPIC_NODE, b"c" if with_chat else b"", node)


class FrameType(enum.IntEnum):
    """What a body is."""

    CHAT = 1
    BEAT = 2
    DELTA = 3
    SYNC_REQUEST = 4
    SNAPSHOT = 5
    PROBE = 6
    PROBE_ACK = 7
    SUSPICION = 8
    TAKEOVER = 9


class ChatKind(enum.IntEnum):
    """Which event of a conversation a chat frame carries."""

    MESSAGE = 1
    READ = 2


class Audience(enum.IntEnum):
    """Who may see an event: everybody in the conversation, or agents only."""

    ALL = 0
    DESK = 1


Count = Annotated[int, msgspec.Meta(ge=0)]  # MessagePack itself stops at 64 bits
Node = Annotated[int, msgspec.Meta(ge=0, le=MAX_NODE)]
Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)]


class Header(msgspec.Struct, frozen=True, gc=False):
    """Where a frame comes from."""

    node: int
    incarnation: int
    oseq: int


class Chat(msgspec.Struct, frozen=True, gc=False):
    """An event of a conversation on its way to the browsers."""

    kind: ChatKind
    audience: Audience
    conversation: str
    seq: int  # of the message; of a read mark, the watermark
    body: bytes  # what browsers get, as it stands
    republished: bool = False  # a duplicate was sent again, since its first publish may be lost


class State(enum.IntEnum):
    """What a node says of itself."""

    UP = 0
    DRAINING = 1  # it leaves soon and takes no more sessions
    LEAVING = 2
    JOINING = 3  # it takes no sessions yet


# Another node's newest beat, as the sender knows it: node, incarnation, number, and how many
# milliseconds ago it was heard. A plain tuple, since a receiver walks through eight a beat.
Relay = tuple[Node, Count, Count, Count]


class Beat(msgspec.Struct, frozen=True, array_like=True):
    """A sign of life, sent every ``interval_ms``."""

    interval_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTERVAL_MS)]
    number: Count  # counts up in an incarnation
    version: Count  # of the origin's presence log
    sessions: Count  # open on the origin
    state: State
    chat_oseq: Count  # the newest chat frame the origin published
    hash: Count = 0  # of the presence log at that version
    relays: Annotated[list[Relay], msgspec.Meta(max_length=MAX_RELAYS)] = []


class SessionEntry(msgspec.Struct, frozen=True, array_like=True):
    """One open session in a presence log; ``session`` is unique in its origin's incarnation."""

    session: Count
    user: Name
    agent: bool


Entries = Annotated[list[SessionEntry], msgspec.Meta(max_length=MAX_ENTRIES)]


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """What changed in the origin's presence log between two versions."""

    from_version: Count
    to_version: Count
    opened: Entries
    closed: Annotated[list[Count], msgspec.Meta(max_length=MAX_ENTRIES)]
    hash: Count = 0  # of the log at to_version


class SyncRequest(msgspec.Struct, frozen=True, array_like=True):
    """Somebody misses something of our presence log, or has something else for it."""

    incarnation: Count  # of the log that is asked for
    have_version: Count
    have_hash: Count = 0


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """One chunk of a whole presence log at a version; all ``chunks`` together are the log."""

    version: Count
    chunk: Count  # 0 to chunks - 1
    chunks: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHUNKS)]
    sessions: Entries
    hash: Count = 0  # of the whole log


class Probe(msgspec.Struct, frozen=True, array_like=True):
    """Somebody has not heard us for a while, or never: answer the same way, with the number."""

    number: Count
    with_chat: bool = False  # it travels as chat frames do, to tell whether they would arrive


class ProbeAck(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a probe."""

    number: Count
    with_chat: bool = False


class Suspicion(msgspec.Struct, frozen=True, array_like=True):
    """The sender thinks that a life of a node may be over."""

    node: Node
    incarnation: Count
    number: Count  # of the newest beat the sender knows


class Takeover(msgspec.Struct, frozen=True, array_like=True):
    """A user who may have one session has logged in at the origin."""

    user: Name
    login_epoch: Count  # given by the database; a session with a lower one has to go
    session: Annotated[
        str, msgspec.Meta(max_length=MAX_LOGIN_CHARS)
    ]  # the login's name: a page that reconnects logs in under the same one


Control = Beat | Delta | SyncRequest | Snapshot | Probe | ProbeAck | Suspicion | Takeover

_TYPE_OF: dict[type, FrameType] = {
    Beat: FrameType.BEAT,
    Delta: FrameType.DELTA,
    SyncRequest: FrameType.SYNC_REQUEST,
    Snapshot: FrameType.SNAPSHOT,
    Probe: FrameType.PROBE,
    ProbeAck: FrameType.PROBE_ACK,
    Suspicion: FrameType.SUSPICION,
    Takeover: FrameType.TAKEOVER,
}
_CONTROL_DECODERS: dict[int, msgspec.msgpack.Decoder[Any]] = {
    frame_type: msgspec.msgpack.Decoder(body_type) for body_type, frame_type in _TYPE_OF.items()
}
_TOPIC_OF: dict[type, bytes] = {
    Beat: TOPIC_BEAT,
    Suspicion: TOPIC_BEAT,
    Delta: TOPIC_PRESENCE,
    Takeover: TOPIC_TAKEOVER,
}
_encode_msgpack = msgspec.msgpack.Encoder().encode

_HEADER = struct.Struct(">BBBxIHQQ")
_CHAT = struct.Struct(">BBQH")
_COMPRESSED = 1
_REPUBLISHED = 2

_KINDS: dict[int, ChatKind] = {kind.value: kind for kind in ChatKind}
_AUDIENCES: dict[int, Audience] = {audience.value: audience for audience in Audience}


def cluster_tag(cluster: str) -> int:
    """Condense a cluster's name to 32 bits, so that two clusters on one network keep apart."""
    return int.from_bytes(hashlib.blake2b(cluster.encode(), digest_size=4).digest(), "big")


def goes_with_chat(control: Control) -> bool:
    """Whether a control frame is to travel as chat frames do: on their sockets, in their queues."""
    return isinstance(control, Probe | ProbeAck) and control.with_chat


class Codec:
    """Encodes the frames of one node's incarnation, and decodes everybody's.

    ``node`` is the node's row number in the database (1 to 1,023).
    """

    def __init__(self, cluster: str, node: int, incarnation: int) -> None:
        self.node = node
        self.incarnation = incarnation
        self._tag = cluster_tag(cluster)
        self.chat_oseq = 0
        self.control_oseq = 0

    def encode_chat(self, chat: Chat) -> bytes:
        """Encode the next chat frame; raise `ValueError` past `MAX_FRAME_BYTES`."""
        conversation = chat.conversation.encode()
        flags = _REPUBLISHED if chat.republished else 0
        body = chat.body
        if len(body) > COMPRESS_OVER_BYTES:
            body, flags = _compressed(body, flags)
        self.chat_oseq += 1
        return b"".join(
            (
                TOPIC_CHAT,
                _HEADER.pack(
                    VERSION,
                    FrameType.CHAT,
                    flags,
                    self._tag,
                    self.node,
                    self.incarnation,
                    self.chat_oseq,
                ),
                _CHAT.pack(chat.kind, chat.audience, chat.seq, len(conversation)),
                conversation,
                body,
            )
        )

    def encode_control(self, control: Control, to_node: int | None = None) -> bytes:
        """Encode the next control frame, for everybody or for one node alone."""
        body, flags = _encode_msgpack(control), 0
        if len(body) > COMPRESS_OVER_BYTES:
            body, flags = _compressed(body, flags)
        if to_node is None:
            topic = _TOPIC_OF[type(control)]
        else:
            topic = node_topic(to_node, with_chat=goes_with_chat(control))
        self.control_oseq += 1
        header = _HEADER.pack(
            VERSION,
            _TYPE_OF[type(control)],
            flags,
            self._tag,
            self.node,
            self.incarnation,
            self.control_oseq,
        )
        return topic + header + body

    def decode(self, frame: bytes) -> tuple[Header, Chat | Control] | None:
        """Decode a frame of any node; None if it is this node's own, `BadFrame` if unreadable."""
        start = 2 if not frame.startswith(TOPIC_NODE) else frame.find(b"/", 2) + 1
        if start == 0 or len(frame) < start + _HEADER.size:
            raise BadFrame("truncated")
        version, frame_type, flags, tag, node, incarnation, oseq = _HEADER.unpack_from(frame, start)
        if version != VERSION:
            raise BadFrame("version")
        if tag != self._tag:
            raise BadFrame("cluster")
        if node == self.node:
            return None
        if node > MAX_NODE:
            raise BadFrame("malformed")
        start += _HEADER.size
        header = Header(node, incarnation, oseq)
        if frame_type == FrameType.CHAT:
            return header, _decode_chat(frame, start, flags)
        if (decoder := _CONTROL_DECODERS.get(frame_type)) is None:
            raise BadFrame("type")
        return header, _decode_control(decoder, frame, start, flags)


def _decode_chat(frame: bytes, start: int, flags: int) -> Chat:
    if len(frame) < start + _CHAT.size:
        raise BadFrame("truncated")
    kind_number, audience_number, seq, length = _CHAT.unpack_from(frame, start)
    kind = _KINDS.get(kind_number)
    audience = _AUDIENCES.get(audience_number)
    if kind is None or audience is None:
        raise BadFrame("type")
    start += _CHAT.size
    end = start + length
    if len(frame) < end:
        raise BadFrame("truncated")
    try:
        conversation = frame[start:end].decode()
    except UnicodeDecodeError:
        raise BadFrame("malformed") from None
    return Chat(
        kind, audience, conversation, seq, _body(frame, end, flags), bool(flags & _REPUBLISHED)
    )


def _decode_control(
    decoder: msgspec.msgpack.Decoder[Any], frame: bytes, start: int, flags: int
) -> Control:
    try:
        control: Control = decoder.decode(_body(frame, start, flags))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadFrame("malformed") from None
    return control


def _compressed(body: bytes, flags: int) -> tuple[bytes, int]:
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"body of {len(body)} bytes exceeds {MAX_FRAME_BYTES}")
    return zlib.compress(body, level=1), flags | _COMPRESSED


def _body(frame: bytes, start: int, flags: int) -> bytes:
    if not flags & _COMPRESSED:
        if len(frame) - start > MAX_FRAME_BYTES:
            raise BadFrame("too_large")
        return frame[start:]
    inflator = zlib.decompressobj()
    try:
        body = inflator.decompress(memoryview(frame)[start:], MAX_FRAME_BYTES)
    except zlib.error:
        raise BadFrame("malformed") from None
    if inflator.unconsumed_tail:
        raise BadFrame("too_large")
    if not inflator.eof or inflator.unused_data:
        raise BadFrame("malformed")
    return body
