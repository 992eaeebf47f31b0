"""What a page shows to prove that it goes on with a login."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from zmqchat.wire.proofs import PREFIX, Proofs, offered_proof

SECRET = b"s" * 32
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20)


@given(names, names, names)
def test_a_proof_is_one_users_alone(user: str, session: str, other: str) -> None:
    """Whoever knows the secret reads it, for that user; nobody else's secret makes it."""
    proof = Proofs(SECRET).make(user, session)
    assert Proofs(SECRET).check(user, proof) == session
    assert (Proofs(SECRET).check(other, proof) is None) == (other != user)
    assert Proofs(b"t" * 32).check(user, proof) is None


@given(st.text(max_size=80))
def test_anything_else_proves_nothing(text: str) -> None:
    """Whatever a client offers is refused, not raised."""
    assert Proofs(SECRET).check("u1", text) is None


@given(names, names, st.integers(0, 200), st.sampled_from("AZaz09-_"))
def test_a_changed_proof_proves_nothing(user: str, session: str, place: int, to: str) -> None:
    """Neither the name nor the signature can be edited."""
    proof = Proofs(SECRET).make(user, session)
    place %= len(proof)
    changed = proof[:place] + to + proof[place + 1 :]
    assert Proofs(SECRET).check(user, changed) in {None, session}
    if changed[: len(proof) - 1] != proof[: len(proof) - 1]:
        assert Proofs(SECRET).check(user, changed) is None


@given(names, names)
def test_a_proof_may_be_a_subprotocol(user: str, session: str) -> None:
    """It has only letters that such a header allows, and is found among others."""
    proof = Proofs(SECRET).make(user, session)
    assert re.fullmatch("[A-Za-z0-9_-]+", proof)
    assert offered_proof(f"zmqchat.v1, {PREFIX}{proof}") == proof
    assert offered_proof("zmqchat.v1") is None
    assert offered_proof("") is None
