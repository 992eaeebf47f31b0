"""Nodes begin their lives here: numbers are given once, incarnations only grow."""

from __future__ import annotations

from collections.abc import Iterable

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
                lives = {node.name: node for node in Node.select().bind(database)}
                last = lives.get(name)
                record = NodeRecord(
                    number=_free_number(lives.values()) if last is None else last.number,
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
    """Write a row unless another process has just taken the number, or begun this very life."""
    values = msgspec.structs.asdict(record)
    if last is None:
        try:
            Node.insert(values).execute(database)
        except peewee.IntegrityError:
            return False
        return True
    ours = (Node.number == last.number) & (Node.incarnation == last.incarnation)
    return bool(Node.update(values).where(ours).execute(database))


def announce(database: Database, number: int, mesh: str) -> None:
    """Write down where peers reach a node that has registered. Blocks, as `register` does."""
    with database.connection_context(), database.atomic():
        Node.update(mesh=mesh).where(Node.number == number).execute(database)


def _free_number(nodes: Iterable[Node]) -> int:
    taken = {node.number for node in nodes}
    for number in range(1, MAX_NODE + 1):
        if number not in taken:
            return number
    raise StartError(f"{MAX_NODE} nodes are registered, which is all the database has numbers for")
