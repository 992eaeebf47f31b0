"""Another node's process: opens a store, waits for a line on stdin, and writes.

``python -m tests.contract.store_process URL NAME DRAFTS`` where DRAFTS is a JSON list of
``[conversation, msg, client id]``. It prints ``ready`` and then a JSON list with
``[id, seq, duplicate]`` for each draft.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from tests.contract.stores import draft, store_it
from zmqchat.store.database import Store


async def main(url: str, name: str, drafts: list[Any]) -> list[Any]:
    """Store the drafts, all at once."""
    store = Store.open(url, asyncio.get_running_loop())
    await store.register(name, http="", url="", mesh="")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    try:
        outcomes = await asyncio.gather(
            *(
                store_it(store, draft(conversation, msg, client_id=client_id))
                for conversation, msg, client_id in drafts
            )
        )
    finally:
        await store.close()
    return [[outcome.message.id, outcome.message.seq, outcome.duplicate] for outcome in outcomes]


if __name__ == "__main__":
    answer = asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
    sys.stdout.write(json.dumps(answer))
