"""What a node hears, and what happens to each frame of it, whatever carried it.

A frame is decoded, counted and handed on; one that is bad or the node's own ends here.
"""

from __future__ import annotations

from zmqchat.errors import BadFrame
from zmqchat.mesh.bus import BusCounts, Sink
from zmqchat.wire.mesh import (
    TOPIC_BEAT,
    TOPIC_CHAT,
    TOPIC_PRESENCE,
    TOPIC_TAKEOVER,
    Chat,
    Codec,
    node_topic,
)


def chat_topics(node: int) -> tuple[bytes, ...]:
    """Topics of the chat frames, and of the probes that try their way to this node."""
    return (TOPIC_CHAT, node_topic(node, with_chat=True))


def control_topics(node: int) -> tuple[bytes, ...]:
    """Topics of the control frames that are for this node, its own among them."""
    return (TOPIC_BEAT, TOPIC_PRESENCE, TOPIC_TAKEOVER, node_topic(node))


class Inlet:
    """Turns frames into calls of a sink; drops this node's own, and counts and drops bad ones."""

    def __init__(self, codec: Codec, counts: BusCounts) -> None:
        self._decode = codec.decode
        self._counts = counts
        self._sink: Sink | None = None

    def open(self, sink: Sink) -> None:
        """Hand frames to this sink from now on."""
        self._sink = sink

    def take(self, frame: bytes) -> None:
        """Take one frame; anything but a good one of another node ends here."""
        try:
            decoded = self._decode(frame)
        except BadFrame as bad:
            self._counts.dropped[bad.reason] += 1
            return
        if decoded is None or self._sink is None:
            return
        self._counts.received += 1
        header, event = decoded
        if isinstance(event, Chat):
            self._sink.on_chat(header, event)
        else:
            self._sink.on_control(header, event)
