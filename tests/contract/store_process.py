"""Another node's process: opens a store, waits for a line on stdin, and writes.

``python -m tests.contract.store_process URL NAME WRITES`` where WRITES is a JSON list of drafts,
``[conversation, msg, client id]``, and of users who log in. It prints ``ready`` and then a JSON
list with ``[id, seq, duplicate]`` for each draft and the epoch of each login.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tests.contract.stores import draft, log_in, store_it
from zmqchat.store.database import Store


async def main(url: str, name: str, writes: list[Any]) -> list[Any]:
    """Write everything, all at once."""
    store = Store.open(url, asyncio.get_running_loop())
    await store.register(name, http="h:1", url="http://h:1", mesh="")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    try:
        return await asyncio.gather(*(_write(store, name, write) for write in writes))
    finally:
        await store.close()


async def _write(store: Store, name: str, write: Any) -> Any:
    if isinstance(write, str):
        return (await log_in(store, write, f"{name}'s")).epoch
    conversation, msg, client_id = write
    stored = await store_it(store, draft(conversation, msg, client_id=client_id))
    return [stored.message.id, stored.message.seq, stored.duplicate]


if __name__ == "__main__":
    answer = asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
    sys.stdout.write(json.dumps(answer))
