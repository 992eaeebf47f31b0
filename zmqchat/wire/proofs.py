"""What a page shows to prove that it goes on with a login, rather than being somebody new.

A proof is the name of the login's session with an HMAC over user and name, by the cluster's
secret: any node can check it. It is written so that it may be offered as a WebSocket subprotocol,
the only header a browser lets a page choose; a node never selects it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

PREFIX = "c."  # of the subprotocol that carries a proof
_PURPOSE = b"zmqchat continue"  # keeps proofs apart from whatever else the secret signs
_DIGEST_BYTES = hashlib.sha256().digest_size


class Proofs:
    """Makes and checks proofs by one secret."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, "sha256")

    def make(self, user: str, session: str) -> str:
        """Write the proof that a page has logged in as a user under this session's name."""
        proof = self._sign(user, session) + session.encode()
        return base64.urlsafe_b64encode(proof).decode().rstrip("=")

    def check(self, user: str, text: str) -> str | None:
        """Return the name of the session that a proof is for; None if it is none of this user's."""
        try:
            proof = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            session = proof[_DIGEST_BYTES:].decode()
        except (binascii.Error, ValueError):  # ValueError: not ASCII, or a name that is not UTF-8
            return None
        good = hmac.compare_digest(proof[:_DIGEST_BYTES], self._sign(user, session))
        return session if good else None

    def _sign(self, user: str, session: str) -> bytes:
        # No user's name has a control character, so the two cannot run into each other.
        return hmac.digest(self._key, f"{user}\0{session}".encode(), "sha256")


def offered_proof(subprotocols: str) -> str | None:
    """Find a proof among the subprotocols a client offers, a list with commas."""
    for offered in subprotocols.split(","):
        if (text := offered.strip()).startswith(PREFIX):
            return text.removeprefix(PREFIX)
    return None
