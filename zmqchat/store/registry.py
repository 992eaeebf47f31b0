"""Nodes begin and end their lives here.

A name keeps its number as long as any number was never given; incarnations of a number only grow.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import peewee

from zmqchat.errors import StartError
from zmqchat.store.dialect import Clock, Database
from zmqchat.store.ids import MAX_NODE
from zmqchat.store.models import Message, Node
from zmqchat.store.ports import NodeRecord


def register(
    database: Database, name: str, *, http: str, url: str, mesh: str, clock: Clock
) -> tuple[NodeRecord, int]:
    """Write a node's row; return it, and the highest message id there is (0 if none).

    Raises `StartError` when every number is given out. Blocks; ``database`` is one for writing.
    """
    with database.connection_context():
        now_ms = clock(database.cursor())
        while True:
            with database.atomic():
                lives = list(Node.select().bind(database))
                number = next((one.number for one in lives if one.name == name), None)
                number = number or _free_number(lives)
                last = next((one for one in lives if one.number == number), None)
                record = NodeRecord(
                    number=number,
                    name=name,
                    incarnation=now_ms if last is None else max(last.incarnation + 1, now_ms),
                    http=http,
                    url=url,
                    mesh=mesh,
                )
                written = _write(database, record, last)
                highest = Message.select(peewee.fn.MAX(Message.id)).bind(database).scalar()
            if written:
                return record, highest or 0


def _write(database: Database, record: NodeRecord, last: Node | None) -> bool:
    """Write a row unless another process has just taken its name or number."""
    values = msgspec.structs.asdict(record)
    try:
        if last is None:
            Node.insert(values).execute(database)
            return True
        as_read = (Node.number == last.number) & (Node.incarnation == last.incarnation)
        return bool(Node.update(values).where(as_read).execute(database))
    except peewee.IntegrityError:
        return False


def announce(database: Database, number: int, *, http: str, mesh: str) -> None:
    """Write down where a node is that has registered. Blocks, as `register` does."""
    with database.connection_context(), database.atomic():
        Node.update(http=http, mesh=mesh).where(Node.number == number).execute(database)


def leave(database: Database, number: int, incarnation: int) -> None:
    """Write down that a life of a node is over. Blocks, as `register` does."""
    this_life = (Node.number == number) & (Node.incarnation == incarnation)
    with database.connection_context(), database.atomic():
        Node.update(http="").where(this_life).execute(database)


def _free_number(nodes: Collection[Node]) -> int:
    """Find a number that nobody has or, if there is none, that nobody has had for longest."""
    taken = {node.number for node in nodes}
    for number in range(1, MAX_NODE + 1):
        if number not in taken:
            return number
    if gone := [node for node in nodes if not node.http]:
        return int(min(gone, key=lambda node: node.incarnation).number)
    raise StartError(f"{MAX_NODE} nodes are registered, which is all the database has numbers for")
