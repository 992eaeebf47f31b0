"""Who is online, as the page of a desk keeps it."""

from __future__ import annotations

import asyncio

from tests.clients import Event, answer

OPEN, CLOSE = 1, 2
LIST_PAGE = 1000


class OnlineList:
    """One node's list, and the changes it told of, each with its time."""

    def __init__(self) -> None:
        self.changes: list[tuple[float, Event]] = []
        self._listed: Event = {"data": [], "unknown": [], "listVersion": -1}

    async def read(self, url: str) -> None:
        """Load the list as it is; changes may have come before."""
        self._listed = await answer(f"{url}/api/online?limit={LIST_PAGE}")

    def on_event(self, event: Event) -> None:
        """Keep an event if it is about the list."""
        if event["key"] in (OPEN, CLOSE):
            self.changes.append((asyncio.get_running_loop().time(), event))

    @property
    def shown(self) -> dict[str, str]:
        """Those who are not offline, and whether they are online or unknown."""
        shown = dict.fromkeys(self._listed["data"], "online")
        shown |= dict.fromkeys(self._listed["unknown"], "unknown")
        for _, event in self.changes:
            if event["listVersion"] > self._listed["listVersion"]:
                shown |= dict.fromkeys(event["opened"], "online")
                shown |= dict.fromkeys(event["unknown"], "unknown")
                for user in event["closed"]:
                    shown.pop(user, None)
        return shown

    def told(self, user: str, *lists: str) -> float | None:
        """When it was first told that a user is in one of these lists of an event."""
        times = (at for at, event in self.changes for name in lists if user in event[name])
        return next(times, None)
