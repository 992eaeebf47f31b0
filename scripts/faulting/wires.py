"""A network of its own for each node, joined to ours by a wire that can be pulled.

On a pulled wire packets vanish, and neither end is told: connections stay as they are until
somebody loses patience, and what was on its way is sent again when the wire is back. No link of
ours can show that, since the kernel of this machine goes on answering for it. It needs the right
to make network namespaces; `problem_of_wires` tells if that is not given.
"""

from __future__ import annotations

import functools
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()"
TRIED_S = 5.0


class Wire:
    """The network of one node: ``near`` is our address on the wire, ``far`` the node's."""

    def __init__(self, number: int) -> None:
        network = f"10.{random.randrange(64, 128)}.{random.randrange(256)}"
        self.near, self.far = f"{network}.{4 * number + 1}", f"{network}.{4 * number + 2}"
        self._name = f"zmqchat-{os.getpid()}-{number}"
        self._device = f"zc{os.getpid() % 10**7}n{number}"  # the kernel takes 15 characters

    @property
    def inside(self) -> Sequence[str]:
        """What stands before a command that is to run in the node's network."""
        return ("ip", "netns", "exec", self._name)

    def __enter__(self) -> Self:
        _run("ip", "netns", "add", self._name)
        try:
            _run("ip", "link", "add", self._device, "type", "veth", "peer", "name", "wire",
                 "netns", self._name)  # fmt: skip
            _run("ip", "address", "add", f"{self.near}/30", "dev", self._device)
            _run(*self.inside, "ip", "address", "add", f"{self.far}/30", "dev", "wire")
            for device in ("lo", "wire"):
                _run(*self.inside, "ip", "link", "set", device, "up")
            self.plug()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def pull(self) -> None:
        """Let every packet vanish."""
        _run("ip", "link", "set", self._device, "down")

    def plug(self) -> None:
        """Let packets through again."""
        _run("ip", "link", "set", self._device, "up")

    def try_out(self) -> None:
        """Connect from inside to here; raise CalledProcessError if that is not possible."""
        with socket.create_server((self.near, 0)) as server:
            port = server.getsockname()[1]
            _run(*self.inside, sys.executable, "-c", CONNECT, self.near, str(port))

    def _remove(self) -> None:
        _run("ip", "netns", "delete", self._name)  # and with it the device


@functools.cache
def problem_of_wires() -> str | None:
    """Tell why there can be no wires here, or None."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "network namespaces need root, and the command ip"
    try:
        with Wire(0) as wire:
            wire.try_out()
    except subprocess.SubprocessError as error:
        told = getattr(error, "stderr", None) or str(error)
        return f"no network namespaces: {told.strip()}"
    return None


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=TRIED_S)
