"""What every ZeroMQ socket of the mesh is like: its options, and how it binds.

Each option answers something that libzmq does otherwise:

- SUB and XSUB send their subscriptions through the same queue as frames, and drop them past
  SNDHWM, so theirs has no end; nodes hold four subscriptions each.
- A frame larger than MAXMSGSIZE ends the connection before it is read.
- Heartbeats find a peer that is gone without a word (a frozen machine, a pulled cable) in 1.5 s;
  without them never.
- Reconnect intervals differ from socket to socket, so that the nodes do not come back to a
  restarted peer in step: with RECONNECT_IVL_MAX set libzmq itself adds no randomness.
- HANDSHAKE_IVL gives up on somebody who accepts and says nothing; the default is 30 s.
- BACKLOG is how many connections may wait to be accepted: with the default of 100 a burst of
  strangers would keep peers out for a second or more.
- XPUB_NODROP is never set: one frozen subscriber would stop all. Nor are CONFLATE and IMMEDIATE.
"""

from __future__ import annotations

import errno
import secrets

import zmq

from zmqchat.errors import StartError
from zmqchat.wire.mesh import MAX_FRAME_BYTES

# Frames a connection may hold, on each end. 10,000 chat frames of 400 bytes are half a second of
# a node at its fastest and about 5 MB; what a peer misses beyond that it reads from the database.
HIGH_WATER_FRAMES = 10_000
LINGER_MS = 1000  # close() sends what is queued for so long at most
_NO_LIMIT = 0

# Linux takes the near ends of connections from 32768 upwards. There a SUB that retries a dead
# port of its own machine is given that very port sooner or later and connects to itself, and the
# publisher cannot bind any more.
_FREE_PORTS = range(20_000, 32_768)
_BIND_ATTEMPTS = 100

_EVERY_SOCKET = {
    zmq.MAXMSGSIZE: 2 * MAX_FRAME_BYTES,
    zmq.RECONNECT_IVL_MAX: 1000,
    zmq.HANDSHAKE_IVL: 1500,
    zmq.BACKLOG: 1024,
    zmq.HEARTBEAT_IVL: 500,
    zmq.HEARTBEAT_TIMEOUT: 1000,
    zmq.RCVHWM: HIGH_WATER_FRAMES,
    zmq.SNDHWM: HIGH_WATER_FRAMES,
}
_OPTIONS = {
    zmq.PUB: {zmq.LINGER: LINGER_MS},
    zmq.SUB: {zmq.SNDHWM: _NO_LIMIT, zmq.LINGER: 0},
    # Only the first part of a message may be a subscription; a later one is somebody's bytes.
    zmq.XPUB: {zmq.LINGER: LINGER_MS, zmq.ONLY_FIRST_SUBSCRIBE: 1},
    zmq.XSUB: {zmq.SNDHWM: _NO_LIMIT, zmq.LINGER: 0, zmq.ONLY_FIRST_SUBSCRIBE: 1},
}

_PROBLEMS = {
    errno.EADDRINUSE: "the port is in use",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.ENODEV: "this machine has no such address",
    errno.EINVAL: "expected tcp://host:port",
    errno.EPROTONOSUPPORT: "expected tcp://host:port",
}


def open_socket(context: zmq.SyncContext, kind: zmq.SocketType) -> zmq.SyncSocket:
    """Make a PUB, SUB, XPUB or XSUB socket that keeps the rules of this module."""
    socket = context.socket(kind)
    for option, value in (_EVERY_SOCKET | _OPTIONS[kind]).items():
        socket.setsockopt(option, value)
    socket.setsockopt(zmq.RECONNECT_IVL, 100 + secrets.randbelow(201))
    return socket


def bind(socket: zmq.SyncSocket, endpoint: str) -> str:
    """Bind to ``tcp://host:port`` and return the real endpoint; port 0 takes a free one.

    Raises `StartError`, with the endpoint in its text, if that cannot be had.
    """
    host, _, port = endpoint.rpartition(":")
    for attempt in [endpoint] if port != "0" else _random_endpoints(host):
        try:
            socket.bind(attempt)
        except zmq.ZMQError as error:
            number = error.errno or 0
            if number != errno.EADDRINUSE:
                break
        else:
            return socket.getsockopt_string(zmq.LAST_ENDPOINT)
    problem = _PROBLEMS.get(number, zmq.strerror(number))
    raise StartError(f"cannot listen on {endpoint}: {problem}")


def _random_endpoints(host: str) -> list[str]:
    return [
        f"{host}:{_FREE_PORTS.start + secrets.randbelow(len(_FREE_PORTS))}"
        for _ in range(_BIND_ATTEMPTS)
    ]
