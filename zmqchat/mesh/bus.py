"""The port of the bus: what carries frames between nodes, whatever is below.

What a bus promises, and the contract suite holds every implementation to:

- **Order.** Frames of one origin and class (chat, control) arrive in the order published,
  as far as they arrive over one link. With two forwarders a frame arrives twice, and the copies
  of different frames may interleave.
- **Loss.** A frame may be lost: while a link is down or young, or past a high-water mark.
  Nobody is told. Within one link what arrives is whole.
- **Duplicates** are not removed. Every frame is idempotent by a number of its own (seq, presence
  version, beat number, login epoch, watermark).
- **Own frames** never reach the node's own sink.
- **Classes.** Control and chat have queues of their own: a burst of chat neither drops nor
  delays a beat.
- **Hostile frames** are counted by reason and dropped; they never raise into the sink.
- Nothing here blocks, and the sink is called from the event loop's thread only, at most
  `DRAIN_LIMIT` frames before other work gets its turn.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from zmqchat.wire.mesh import Chat, Control, Header

DRAIN_LIMIT = 256  # frames taken from one socket in a wake-up

# Why a connection to this node was refused, as it is counted.
NO_KEY = "no_key"
WRONG_KEY = "wrong_key"
UNFINISHED = "unfinished"  # half open, or closed by the other end: may be anybody
REFUSALS = (NO_KEY, WRONG_KEY, UNFINISHED)


class Peer(NamedTuple):
    """Another node, as far as the bus needs to know it."""

    node: int  # row number in the database, 1 to 1,023
    name: str
    mesh: str  # endpoint of its PUB socket, as tcp://host:port; unused through forwarders


class Sink(Protocol):
    """Who receives what the bus carries."""

    def on_chat(self, header: Header, chat: Chat) -> None:
        """Take an event of a conversation; must not raise."""

    def on_control(self, header: Header, control: Control) -> None:
        """Take a beat, or something about presence or logins; must not raise."""

    def on_link(self, node: int, *, up: bool, refused: bool = False) -> None:
        """Note that the direct link from a peer came up, or broke; must not raise.

        Every frame that came over the link before it broke was handed on before. ``refused``: the
        peer's machine answers, but nobody listens there any more; this may follow a plain loss.
        Only changes are told, beginning with the first time a link is up. A bus that cannot know
        of a link to each peer never calls this.
        """

    def on_knock(self) -> None:
        """Note that some node has connected to this one, maybe one to be followed; must not raise.

        A bus to which no other connects never calls this.
        """

    def on_forwarders(self, *, up: bool) -> None:
        """Note that a complete link to any forwarder is up, or that none is any more.

        Complete: control frames can be sent to it and heard from it. Only changes are told,
        beginning with the first time one is up. A bus without forwarders never calls this.
        """


class BusCounts:
    """What a bus has counted since it was made; `web.metrics` shows them."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.dropped: collections.Counter[str] = collections.Counter()  # by reason
        self.broken_links = 0  # links given up for good by the library, as after a frame too large
        self.repaired_links = 0  # of those, connected again
        self.refused: collections.Counter[str] = collections.Counter()  # strangers, by reason


class Bus(Protocol):
    """Carries frames; see the module's promises."""

    counts: BusCounts

    @property
    def endpoint(self) -> str:
        """Where peers reach this node, with the port that was really bound; "" if they need not."""

    @property
    def chat_oseq(self) -> int:
        """The number of the newest chat frame published, for the beat."""

    def start(self, sink: Sink) -> None:
        """Begin to receive; frames that arrived earlier wait."""

    def follow(self, peers: Iterable[Peer]) -> None:
        """Hear exactly these peers from now on; asked again with any change."""

    def publish_chat(self, chat: Chat) -> None:
        """Send an event of a conversation to every node that hears this one."""

    def publish_control(self, control: Control, to_node: int | None = None) -> None:
        """Send a control frame to every node, or to one alone.

        What `wire.mesh.goes_with_chat` says goes the way of chat frames.
        """

    def close(self) -> None:
        """Send what is still queued for at most a second, then release every socket."""
