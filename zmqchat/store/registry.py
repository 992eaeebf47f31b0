"""Nodes begin and end their lives here.

A name keeps its number as long as any number was never given; incarnations of a number only grow.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import peewee

from zmqchat.errors import StartError
from zmqchat.store.dialect import Database
from zmqchat.store.ids import MAX_NODE
from zmqchat.store.models import Message, Node
from zmqchat.store.ports import NodeRecord


def register(
    database: Database, name: str, *, http: str, url: str, mesh: str, now_ms: int
) -> tuple[NodeRecord, int]:
    """Write a node's row; return it, and the highest message id there is (0 if none).

    Raises `StartError` when every number is given out. Blocks; ``database`` is one for writing.
    """
    with database.connection_context(), database.atomic():
        lives = {node.name: node for node in Node.select().bind(database)}
        number = lives[name].number if name in lives else _free_number(lives.values())
        last = max((one.incarnation for one in lives.values() if one.number == number), default=-1)
        record = NodeRecord(
            number=number,
            name=name,
            incarnation=max(last + 1, now_ms),
            http=http,
            url=url,
            mesh=mesh,
        )
        Node.insert(msgspec.structs.asdict(record)).on_conflict_replace().execute(database)
        highest = Message.select(peewee.fn.MAX(Message.id)).bind(database).scalar()
    return record, highest or 0


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
