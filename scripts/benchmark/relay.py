"""Customers on node a, one session of the desk on node b: how many messages, and how late."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from scripts.benchmark.clients import DESK, Arrived, Customer, Desk, EchoClient, customer_name
from scripts.benchmark.load import (
    Bound,
    Figures,
    Flow,
    Meter,
    await_copies,
    await_mesh,
    broken,
    connect_all,
    disconnect_all,
    pace,
    settle,
)
from scripts.benchmark.servers import Cluster, Process

PERCENTILES = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}


class Party:
    """The customers and the desk, connected to a cluster."""

    def __init__(self, customers: list[Customer], desk: Desk) -> None:
        self.customers = customers
        self.desk = desk

    @classmethod
    async def gather(
        cls,
        servers: Cluster,
        size: int,
        *,
        client_ids: bool,
        echoed: Arrived | None = None,
        arrived: Arrived | None = None,
    ) -> Party:
        """Connect everybody, and wait until what is written on node a is heard on node b."""
        desk = Desk(size, arrived)
        customers = [
            Customer(number, client_ids=client_ids, echoed=echoed) for number in range(1, size + 1)
        ]
        await desk.connect(servers.session_url(1, DESK))
        await connect_all(customers, lambda place: servers.session_url(0, customer_name(place + 1)))
        await await_mesh(servers, lambda: desk.probed)
        return cls(customers, desk)

    def missing(self) -> int:
        """Deliveries, echoes and ACKs that have not come yet."""
        sent = sum(customer.sent for customer in self.customers)
        owed = sum(customer.missing() for customer in self.customers)
        return owed + max(0, sent - self.desk.received)

    def soundness(self) -> Figures:
        """What went wrong, in the desk's view and each customer's own; zero when all is well."""
        views = [
            (customer.sent, stream)
            for customer in self.customers
            for stream in (customer.echoes, self.desk.streams[customer.number])
        ]
        return {
            "lost": sum(stream.lost(sent) for sent, stream in views),
            "doubled": sum(stream.doubled for _, stream in views),
            "out_of_order": sum(stream.out_of_order for _, stream in views),
            "unacknowledged": sum(customer.unacknowledged() for customer in self.customers),
            **broken([self.desk, *self.customers]),
        }

    async def leave(self) -> None:
        """Cut all sessions."""
        await disconnect_all([self.desk, *self.customers])


async def keep_in_flight(
    servers: Cluster, load: tuple[int, int], warm_up: Bound, bound: Bound, *, client_ids: bool
) -> Figures:
    """Let each of some customers keep some messages in flight; ``load`` tells how many of both."""
    size, in_flight = load
    flow = Flow(in_flight)
    party = await Party.gather(servers, size, client_ids=client_ids, echoed=flow.echoed)
    flow.senders.update({customer.number: customer for customer in party.customers})
    await flow.run(warm_up)
    await settle(party.missing)
    meter, before = Meter(servers.processes), party.desk.received
    await flow.run(bound)
    await settle(party.missing)
    figures = meter.figures(party.desk.received - before)
    await await_copies()
    figures |= party.soundness()
    await party.leave()
    return figures


async def keep_pace(
    servers: Cluster, size: int, rate: int, warm_up: Bound, bound: Bound, *, client_ids: bool
) -> Figures:
    """Let customers together write ``rate`` messages a second; measure from send to the desk."""
    sent_at: list[list[float]] = [[0.0] for _ in range(size + 1)]  # by customer and counter
    latencies: list[float] = []

    def send(customer: Customer) -> None:
        sent_at[customer.number].append(time.perf_counter())
        customer.send_next()

    def arrived(customer: int, counter: int) -> None:
        latencies.append(time.perf_counter() - sent_at[customer][counter])

    party = await Party.gather(servers, size, client_ids=client_ids, arrived=arrived)
    await pace(party.customers, rate, _count(rate, warm_up), send)
    await settle(party.missing)
    latencies.clear()
    meter = Meter(servers.processes)
    await pace(party.customers, rate, _count(rate, bound), send)
    await settle(party.missing)
    figures = meter.figures(len(latencies)) | percentiles(latencies)
    await await_copies()
    figures |= party.soundness()
    await party.leave()
    return figures


async def echo(
    process: Process, url: str, load: tuple[int, int], warm_up: Bound, bound: Bound
) -> Figures:
    """Keep messages in flight to a server that echoes; ``load`` as in `keep_in_flight`."""
    size, in_flight = load
    flow = Flow(in_flight)
    clients = [EchoClient(number, flow.echoed) for number in range(1, size + 1)]
    flow.senders.update({client.number: client for client in clients})
    await connect_all(clients, lambda place: f"{url}/websocket/mq/chat/{customer_name(place)}")

    def missing() -> int:
        return sum(client.sent - (client.echoes.next - 1) for client in clients)

    def returned() -> int:
        return sum(client.sent for client in clients) - missing()

    await flow.run(warm_up)
    await settle(missing)
    meter, before = Meter([process]), returned()
    await flow.run(bound)
    await settle(missing)
    figures = meter.figures(returned() - before) | broken(clients)
    figures["lost"] = missing()
    await disconnect_all(clients)
    return figures


def percentiles(latencies: Sequence[float]) -> Figures:
    """The latencies (seconds) at which this part of all messages had arrived, in milliseconds."""
    ordered = sorted(latencies) or [math.inf]
    return {
        name: 1000 * ordered[max(0, math.ceil(part * len(ordered)) - 1)]
        for name, part in PERCENTILES.items()
    }


def _count(rate: int, bound: Bound) -> int:
    return min(int(rate * bound.seconds), bound.messages)
