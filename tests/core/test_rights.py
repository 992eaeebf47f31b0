"""Who may write to whom, and as whom."""

from __future__ import annotations

import pytest

from zmqchat.core.rights import Identity, check_is_agent, check_may_read, conversation_of
from zmqchat.errors import ErrorCode, Refused
from zmqchat.wire.client import Send

CUSTOMER = Identity("u1", agent=False, desk="super_admin")
AGENT = Identity("anna", agent=True, desk="super_admin")


def test_a_customer_writes_to_the_desk() -> None:
    """The conversation is the customer's."""
    assert conversation_of(Send("hi", "u1", "super_admin", None), CUSTOMER) == "u1"


def test_an_agent_writes_to_a_customer_as_the_desk() -> None:
    """The conversation is the receiver's."""
    assert conversation_of(Send("hi", "super_admin", "u1", None), AGENT) == "u1"


@pytest.mark.parametrize(
    ("identity", "sender", "receiver"),
    [
        (CUSTOMER, "u2", "super_admin"),
        (CUSTOMER, "super_admin", "u1"),
        (CUSTOMER, "u1", "u2"),
        (CUSTOMER, "u1", "u1"),
        (AGENT, "anna", "u1"),
        (AGENT, "u1", "super_admin"),
        (AGENT, "super_admin", "super_admin"),
    ],
)
def test_everything_else_is_forbidden(identity: Identity, sender: str, receiver: str) -> None:
    """Another's name as sender, or somebody who is not the other side, is refused."""
    with pytest.raises(Refused) as refused:
        conversation_of(Send("hi", sender, receiver, "c1"), identity)
    assert refused.value.code is ErrorCode.FORBIDDEN
    assert refused.value.client_id == "c1"


def test_a_receiver_must_be_a_name() -> None:
    """An agent cannot begin a conversation with something that is no name."""
    with pytest.raises(Refused) as refused:
        conversation_of(Send("hi", "super_admin", " u1", None), AGENT)
    assert refused.value.code is ErrorCode.BAD_NAME


def test_only_those_who_take_part_mark_as_read() -> None:
    """A customer the own conversation, an agent any."""
    check_may_read("u1", CUSTOMER)
    check_may_read("u2", AGENT)
    with pytest.raises(Refused):
        check_may_read("u2", CUSTOMER)


def test_only_agents_ask_for_all_conversations() -> None:
    """A customer learns nothing of the others."""
    check_is_agent(AGENT)
    with pytest.raises(Refused, match="the own conversation"):
        check_is_agent(CUSTOMER)
