"""What the handlers of a node work with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from zmqchat.delivery import Delivery
from zmqchat.gossip import Gossip
from zmqchat.peers import Peers
from zmqchat.resumes import Resumes
from zmqchat.store.ports import Directory, Messages
from zmqchat.storeclock import StoreClock
from zmqchat.takeovers import Takeovers
from zmqchat.web.origins import Origins


class Services(NamedTuple):
    """Everything a request may need, made by the node and handed to every handler."""

    desk: str  # the account that customers write to
    messages: Messages
    directory: Directory
    delivery: Delivery
    resumes: Resumes
    gossip: Gossip
    peers: Peers
    takeovers: Takeovers
    origins: Origins
    registry: CollectorRegistry
    readiness: Callable[[], dict[str, str | None]]  # check -> what is wrong, None if nothing
    clock: StoreClock
    database_epoch: str
    database: str  # where the messages are, as an operator would name it
