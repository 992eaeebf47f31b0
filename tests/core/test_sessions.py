"""Who is here, and what each of them is given."""

from __future__ import annotations

from zmqchat.core.sessions import Session, Sessions
from zmqchat.errors import CloseCode


class Client:
    """A session with what was told about its outbox."""

    def __init__(self, number: int, user: str, *, agent: bool = False) -> None:
        self.wakes = 0
        self.overflows = 0
        self.reads = False  # whether it takes what is written
        self.session = Session(
            number,
            user,
            agent=agent,
            v1=False,
            wake=self._wake,
            drain=self._drain,
            end=self._end,
        )

    def _wake(self) -> None:
        self.wakes += 1

    def _drain(self) -> None:
        if self.reads:
            self.session.outbox.take()

    def _end(self, _code: CloseCode) -> None:
        self.overflows += 1


def test_an_event_reaches_the_customer_and_every_agent() -> None:
    """All sessions of the customer and of the desk get it, other customers do not."""
    sessions = Sessions()
    phone, laptop, other = Client(1, "u1"), Client(2, "u1"), Client(3, "u2")
    desk = Client(4, "super_admin", agent=True)
    for client in (phone, laptop, other, desk):
        sessions.add(client.session)
    assert sessions.deliver("u1", b"hello") == 3
    assert [c.session.outbox.take() for c in (phone, laptop, desk, other)] == [
        b"hello",
        b"hello",
        b"hello",
        b"",
    ]


def test_who_follows_a_conversation() -> None:
    """Its customer's sessions or any agent; nobody when they are gone."""
    sessions = Sessions()
    customer, desk = Client(1, "u1").session, Client(2, "super_admin", agent=True).session
    assert not sessions.follows("u1")
    sessions.add(customer)
    assert sessions.follows("u1")
    assert not sessions.follows("u2")
    sessions.add(desk)
    assert sessions.follows("u2")
    assert len(sessions) == 2
    sessions.remove(desk)
    sessions.remove(customer)
    assert not sessions.follows("u1")
    assert len(sessions) == 0


def test_the_writer_is_woken_once_until_the_outbox_is_taken() -> None:
    """Several events of one wake-up cause one write."""
    client = Client(1, "u1")
    client.session.push(b"a")
    client.session.push(b"b")
    assert client.wakes == 1
    client.session.outbox.take()
    client.session.push(b"c")
    assert client.wakes == 2


def test_a_session_that_is_removed_while_it_overflows_harms_no_other() -> None:
    """A slow client leaves the list in the middle of a delivery; the others still get it."""
    sessions = Sessions()
    slow, fast = Client(1, "u1"), Client(2, "u1")
    slow.session.end = lambda _code: sessions.remove(slow.session)
    sessions.add(slow.session)
    sessions.add(fast.session)
    while slow.session.outbox.push(b"x" * 1024):
        pass
    sessions.deliver("u1", b"hello")
    assert fast.session.outbox.take() == b"hello"
    assert len(sessions) == 1


def test_a_client_that_reads_never_overflows() -> None:
    """Much in one wake-up is written in between; only who does not take it has to go."""
    fast, slow = Client(1, "u1"), Client(2, "u2")
    fast.reads = True
    for client in (fast, slow):
        for _ in range(3):
            client.session.push(b"x" * 500_000)
    assert (fast.overflows, slow.overflows) == (0, 1)


def test_who_catches_up_is_only_told_that_there_is_more() -> None:
    """A live message is noted instead of pushed; other conversations, and other events, go on."""
    sessions = Sessions()
    desk, customer = Client(1, "super_admin", agent=True), Client(2, "u1")
    for client in (desk, customer):
        sessions.add(client.session)
    desk.session.behind["u1"] = False
    assert sessions.deliver("u1", b"message") == 2
    sessions.deliver("u2", b" other")
    sessions.tell("u1", b" read")
    assert desk.session.behind == {"u1": True}
    assert desk.session.outbox.take() == b" other read"
    assert customer.session.outbox.take() == b"message read"
