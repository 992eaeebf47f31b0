"""How soon a message is there when something broke on its way, on real nodes and forwarders.

One cluster serves all tests here; each begins by mending what others broke. Links lead through
ports of our own, which can be cut and can lose single frames. Times are taken between the
acknowledgement and the other client's event, and hold on a machine that is busy with other things.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from scripts.faulting.databases import SqliteFile
from scripts.faulting.site import INWARD, OUTWARD, Site
from tests.clients import DESK, Event, V1Client, answer, fetch, until

pytestmark = pytest.mark.cluster

CHAT = b"m/"
MESSAGE, ACK = 3, 5
BEAT_S = 0.5
COPIES = 1000

_users = (f"customer{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two nodes, two forwarders."""
    folder = tmp_path_factory.mktemp("promises")
    database = SqliteFile(folder, small_disk=False)
    with Site(folder, database, nodes=2, lossy=True, shared=True) as site:
        yield site


class Timed(V1Client):
    """A client that notes when each message and each acknowledgement came."""

    def __init__(self, user: str) -> None:
        super().__init__(user)
        self.shown_at: dict[str, float] = {}  # by text
        self.acked_at: dict[str, float] = {}

    def on_event(self, event: Event) -> None:
        """Keep it, with its time."""
        super().on_event(event)
        now = asyncio.get_running_loop().time()
        if event["key"] == MESSAGE:
            self.shown_at.setdefault(event["data"]["msg"], now)
        elif event["key"] == ACK:
            self.acked_at.setdefault(event["data"]["clientId"], now)

    async def write(self, text: str) -> float:
        """Send a message, and return when it was acknowledged."""
        await self.say(text, client_id=text)
        await until(f"{text} acknowledged", lambda: text in self.acked_at, lambda: self.events)
        return self.acked_at[text]

    async def shows(self, text: str) -> float:
        """Wait until a message is shown, and return when it was."""
        await until(f"{text} shown", lambda: text in self.shown_at, lambda: self.events[-3:])
        return self.shown_at[text]


@asynccontextmanager
async def pair(site: Site) -> AsyncIterator[tuple[Timed, Timed]]:
    """A customer on n1, the desk on n2, and a first message between them; all is heard."""
    await site.mend()
    customer = await Timed(next(_users)).start(site.cluster.url_of["n1"])
    desk = await Timed(DESK).start(site.cluster.url_of["n2"])
    try:
        await both_ways_carry(site, customer)
        await desk.shows(f"{customer.user} first")
        yield customer, desk
    finally:
        await customer.close()
        await desk.close()


async def both_ways_carry(site: Site, customer: Timed) -> None:
    """Write until n2 is reached through each forwarder.

    Then the first words of an origin are over, too: they ask for an audit, which would find what
    is lost later.
    """
    links = site.links(["n2"], ends=[INWARD])
    before = [link.carried[CHAT] for link in links]
    for number in itertools.count():
        await customer.write(f"{customer.user} first" + f" {number}" * (number > 0))
        for _ in range(20):
            await asyncio.sleep(0.01)
            if all(link.carried[CHAT] > old for link, old in zip(links, before, strict=True)):
                return


async def figure(site: Site, node: str, name: str) -> int:
    """A counter of a node's metrics."""
    response = await fetch(f"{site.cluster.url_of[node]}/metrics")
    match = re.search(rf"^{name}(?:_total)? ([0-9.]+)$", response.body.decode(), re.MULTILINE)
    assert match is not None, response.body
    return int(float(match[1]))


async def lose_next(site: Site, customer: Timed, text: str) -> float:
    """Write a message whose copies on both ways to n2 are lost."""
    links = site.links(["n2"], ends=[INWARD])
    before = [link.lost for link in links]
    for link in links:
        link.lose(CHAT)
    acked_at = await customer.write(text)
    await until(
        "both copies lost",
        lambda: all(link.lost > count for link, count in zip(links, before, strict=True)),
        lambda: [link.lost for link in links],
    )
    return acked_at


def test_a_message_lost_in_the_middle(site: Site) -> None:
    """It is there within 150 ms after the one that follows it, and before that one."""

    async def main() -> None:
        async with pair(site) as (customer, desk):
            await lose_next(site, customer, f"{customer.user} lost")
            followed_at = await customer.write(f"{customer.user} next")
            assert await desk.shows(f"{customer.user} lost") - followed_at < 0.150
            await desk.shows(f"{customer.user} next")
            own = [text for text in desk.shown_at if text.startswith(f"{customer.user} ")]
            assert [text.split()[1] for text in own[-2:]] == ["lost", "next"]

    asyncio.run(main())


def test_a_lost_last_message(site: Site) -> None:
    """Nothing follows; the next beat tells that something was sent: a beat and half a second."""

    async def main() -> None:
        async with pair(site) as (customer, desk):
            acked_at = await lose_next(site, customer, f"{customer.user} last")
            assert await desk.shows(f"{customer.user} last") - acked_at < BEAT_S + 0.5

    asyncio.run(main())


def test_a_message_of_a_node_that_died_before_publishing_it(site: Site) -> None:
    """Only the database knows of it, and it is there within 7.5 s."""

    async def main() -> None:
        async with pair(site) as (customer, desk):
            links = site.links(["n1"], ends=[OUTWARD])
            for link in links:
                link.cut()
            acked_at = await customer.write(f"{customer.user} unheard")
            site.cluster.kill("n1")
            assert await desk.shows(f"{customer.user} unheard") - acked_at < 7.5

    asyncio.run(main())


def test_with_every_forwarder_dead(site: Site) -> None:
    """Chat goes on through the database: each message is there within a second."""

    async def main() -> None:
        async with pair(site) as (customer, desk):
            site.cluster.kill(*site.cluster.forwarders)
            delays = []
            for number in range(5):
                text = f"{customer.user} without {number}"
                acked_at = await customer.write(text)
                delays.append(await desk.shows(text) - acked_at)
                await asyncio.sleep(0.1)  # at other moments of the audits' interval
            assert max(delays) < 1.0, delays

    asyncio.run(main())


@pytest.mark.parametrize("victim", ["f1", "f2"])
def test_one_forwarder_dies(site: Site, victim: str) -> None:
    """No message waits for longer than the reorder window, so none is read from the database."""

    async def main() -> None:
        async with pair(site) as (customer, desk):
            before = await figure(site, "n2", "zmqchat_recovered_messages")
            for number in range(200):
                await customer.say(f"{customer.user} {number}", client_id=f"{number}")
                if number == 100:
                    site.cluster.kill(victim)
                await asyncio.sleep(0.002)
            await desk.shows(f"{customer.user} 199")
            own = [text for text in desk.shown_at if text.startswith(f"{customer.user} ")]
            assert own[-200:] == [f"{customer.user} {number}" for number in range(200)]
            assert await figure(site, "n2", "zmqchat_recovered_messages") == before

    asyncio.run(main())


def test_the_same_client_id_from_two_nodes_at_once(site: Site) -> None:
    """A thousand copies are one message, and every acknowledgement names it."""

    async def main() -> None:
        async with pair(site) as (phone, _desk):
            laptop = await Timed(phone.user).start(site.cluster.url_of["n2"])
            await asyncio.gather(
                *(
                    client.say("the same", client_id="same")
                    for _ in range(COPIES // 2)
                    for client in (phone, laptop)
                )
            )
            acks: list[Event] = []
            for client in (phone, laptop):
                await until(
                    f"{COPIES // 2} acknowledgements",
                    functools.partial(_all_acknowledged, client),
                    lambda: [len(client.of(ACK)) for client in (phone, laptop)],
                )
                acks += [ack["data"] for ack in _acks(client)]
            assert len({(ack["id"], ack["seq"]) for ack in acks}) == 1
            assert sum(not ack["duplicate"] for ack in acks) == 1
            stored = await answer(
                f"{site.cluster.url_of['n2']}/chatMsg/getHistoryChat/{phone.user}"
            )
            assert [row["id"] for row in stored["data"] if row["clientId"] == "same"] == [
                acks[0]["id"]
            ]
            for client in (phone, laptop):
                await client.shows("the same")
                shown = [event["data"]["msg"] for event in client.of(MESSAGE)]
                assert shown.count("the same") == 1
            await laptop.close()

    asyncio.run(main())


def _acks(client: Timed) -> list[Event]:
    return [ack for ack in client.of(ACK) if ack["data"]["clientId"] == "same"]


def _all_acknowledged(client: Timed) -> bool:
    return len(_acks(client)) == COPIES // 2
