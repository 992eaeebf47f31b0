"""What the keys of the cluster do to a socket: CURVE on both ends of every link.

All nodes and forwarders share one key pair. Whoever binds serves with it and asks the `Door` about
those who connect; whoever connects shows it, and expects it of the other end. So each end knows
that the other has the secret, and what is between them cannot be read or changed.

While keys are replaced there are two pairs. A CURVE server has one secret and does not say which,
so whoever connects tries: the first pair's, and after `PATIENCE` failed handshakes the other's,
in turn for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Self

import zmq
import zmq.utils.z85

PATIENCE = 2  # failed handshakes; one alone may be a peer that stopped in the middle of it
ZAP_DOMAIN = b"zmqchat"


class KeyPair(NamedTuple):
    """Both halves of a CURVE key pair, in Z85."""

    public: bytes
    secret: bytes

    @classmethod
    def of(cls, secret: str) -> Self:
        """Derive the pair of a secret of 64 hexadecimal digits."""
        written = zmq.utils.z85.encode(bytes.fromhex(secret))
        return cls(zmq.curve_public(written), written)


class Keys:
    """The key pairs of the cluster, the one in use first; without any, frames are plain."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._pairs = tuple(map(KeyPair.of, secrets))

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def public(self) -> frozenset[bytes]:
        """The 32 bytes by which those who have a key are known."""
        return frozenset(zmq.utils.z85.decode(pair.public) for pair in self._pairs)

    def serve(self, socket: zmq.SyncSocket) -> None:
        """Make a socket accept only those whom the door lets in; call this before it binds."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._pairs[0].secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        # Without this a socket whose door is gone would accept any key.
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def show(self, socket: zmq.SyncSocket, expected: int) -> None:
        """Make the next connect() of a socket show the first pair, and expect the one told."""
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._pairs[0].public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._pairs[0].secret)
        socket.setsockopt(zmq.CURVE_SERVERKEY, self._pairs[expected].public)


NO_KEYS = Keys()


class ServerKeys:
    """Which key the links of one socket expect at the other end, each for itself."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._expected: dict[str, int] = {}  # the number of a pair, where it is not the first
        self._failures: dict[str, int] = {}  # handshakes since the last that succeeded or a turn

    def prepare(self, socket: zmq.SyncSocket, endpoint: str) -> None:
        """Set what the next connect() of a socket, to this endpoint, needs."""
        if self._keys:
            self._keys.show(socket, self._expected.get(endpoint, 0))

    def succeeded(self, endpoint: str) -> None:
        """Note that a handshake succeeded: the key was right."""
        self._failures.pop(endpoint, None)

    def failed(self, endpoint: str) -> bool:
        """Note that a handshake failed, and tell whether another key is to be tried from now on."""
        failures = self._failures.get(endpoint, 0) + 1
        turns = failures >= PATIENCE and len(self._keys) > 1
        self._failures[endpoint] = 0 if turns else failures
        if turns:
            self._expected[endpoint] = (self._expected.get(endpoint, 0) + 1) % len(self._keys)
        return turns

    def forget(self, endpoint: str) -> None:
        """Drop what is known of an endpoint."""
        self._failures.pop(endpoint, None)
        self._expected.pop(endpoint, None)
