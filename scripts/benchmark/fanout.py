"""One customer on node a, many sessions of the desk on node b: how fast copies go out."""

from __future__ import annotations

import asyncio

import picows

from scripts.benchmark.clients import (
    DESK,
    PROBE,
    Client,
    Customer,
    customer_name,
    read_message,
)
from scripts.benchmark.load import (
    Bound,
    Figures,
    Meter,
    await_copies,
    await_mesh,
    broken,
    connect_all,
    disconnect_all,
    settle,
)
from scripts.benchmark.servers import Cluster

_IN_FLIGHT = 20  # messages that not every session has got yet


class Room:
    """The sessions of the desk, what they got together, and the customer who keeps them busy.

    The first session to get a message reads it; for the others it is enough that the bytes are
    the same, which keeps a delivery cheap.
    """

    def __init__(self, sessions: int, customer: Customer) -> None:
        self.sessions = [RoomSession(self) for _ in range(sessions)]
        self.payloads: list[bytes] = []  # message n at n - 1
        self.probed = False
        self.delivered = 0
        self.doubled = 0
        self.out_of_order = 0
        self._customer = customer
        self._last = 0  # the counter of the last message of this phase
        self._finished = asyncio.Event()

    def missing(self) -> int:
        """Deliveries that have not come yet."""
        return self._customer.sent * len(self.sessions) - self.delivered

    async def run(self, bound: Bound) -> None:
        """Keep messages in flight for some seconds, and at most so many."""
        self._last = self._customer.sent + bound.messages
        self._finished.clear()
        self.refill()
        try:
            async with asyncio.timeout(bound.seconds):
                await self._finished.wait()
        except TimeoutError:
            self._last = self._customer.sent

    def refill(self) -> None:
        """Send what may be in flight."""
        while self._customer.sent < self._last:
            if self.missing() >= _IN_FLIGHT * len(self.sessions):
                return
            self._customer.send_next()
        self._finished.set()

    def take_unexpected(self, session: RoomSession, payload: bytes) -> None:
        """Take a message whose bytes are not those of the next one known."""
        number, counter, agrees = read_message(payload)
        if number == PROBE:
            self.probed = True
            return
        if counter <= session.seen:
            self.doubled += 1
            return
        if counter == len(self.payloads) + 1:
            self.payloads.append(payload)
        self.out_of_order += counter != session.seen + 1 or not agrees
        self.delivered += 1
        session.seen = counter


class RoomSession(Client):
    """One of many sessions of the desk."""

    def __init__(self, room: Room) -> None:
        super().__init__()
        self.seen = 0  # the counter of the newest message
        self._room = room

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Compare with what another session got already."""
        payload = frame.get_payload_as_bytes()
        room, seen = self._room, self.seen
        if seen < len(room.payloads) and payload == room.payloads[seen]:
            self.seen = seen + 1
            room.delivered += 1
        else:
            super().on_ws_frame(transport, frame)
        if frame.last_in_buffer:
            room.refill()

    def on_message(self, payload: bytes) -> None:
        """Take a message that was not expected."""
        self._room.take_unexpected(self, payload)


async def fan_out(
    servers: Cluster, sessions: int, warm_up: Bound, bound: Bound, *, client_ids: bool
) -> Figures:
    """Load both nodes and tell how many deliveries there were, a second and a CPU second."""
    customer = Customer(1, client_ids=client_ids)
    room = Room(sessions, customer)

    def missing() -> int:
        return room.missing() + customer.missing()

    clients: list[Client] = [customer, *room.sessions]
    await connect_all(room.sessions, lambda _: servers.session_url(1, DESK))
    await customer.connect(servers.session_url(0, customer_name(1)))
    await await_mesh(servers, lambda: room.probed)
    await room.run(warm_up)
    await settle(missing)
    meter, before = Meter(servers.processes), room.delivered
    await room.run(bound)
    await settle(missing)
    figures = meter.figures(room.delivered - before, "deliveries")
    await await_copies()
    figures |= {
        "lost": room.missing() + customer.echoes.lost(customer.sent),
        "doubled": room.doubled + customer.echoes.doubled,
        "out_of_order": room.out_of_order + customer.echoes.out_of_order,
        "unacknowledged": customer.unacknowledged(),
        **broken(clients),
    }
    await disconnect_all(clients)
    return figures
