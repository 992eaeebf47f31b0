"""The processes under test: started, read and ended, each by its own id.

Whatever happens in between, leaving the ``with`` block of a `Process` ends it: SIGTERM first,
SIGKILL after five seconds. Every server is told who started it, and on Linux does not outlive it.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import yaml

ROOT = Path(__file__).resolve().parents[2]
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")  # the unit of /proc/PID/stat, a second
_CORES = sorted(os.sched_getaffinity(0))
_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 5.0
_POLL_S = 0.02
_LOG_LINES = 15  # of a process that did not start, shown in the error


class ServerFailed(Exception):  # noqa: N818 - what happened to the server, not to this program
    """A process under test did not start, or ended by itself; the text shows its last words."""


class Process:
    """One server process that says on stdout when it is ready."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        self.name = name
        self.ready_line = ""
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, *arguments, "--parent", str(os.getpid())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        try:
            self._child.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    def wait_ready(self) -> None:
        """Wait until it says so; raise `ServerFailed` when it ends or takes 20 s."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            self.check_alive()
            for line in self._log.read_text(errors="replace").splitlines(keepends=True):
                if " ready: " in line and line.endswith("\n"):
                    self.ready_line = line.strip()
                    return
            time.sleep(_POLL_S)
        raise ServerFailed(f"{self.name} was not ready after {_START_TIMEOUT_S:g} s{self._words()}")

    def check_alive(self) -> None:
        """Raise `ServerFailed` if the process has ended."""
        if (code := self._child.poll()) is not None:
            raise ServerFailed(f"{self.name} ended with exit code {code}{self._words()}")

    def cpu_s(self) -> float:
        """User and system time of all its threads so far, in seconds."""
        # The name in brackets may contain spaces; user and system time are fields 14 and 15.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS

    def rss_kib(self) -> int:
        """Resident memory now, in KiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(_found(r"VmRSS:\s+(\d+) kB", status))

    def _words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "".join(f"\n  | {line}" for line in lines)


class Usage(NamedTuple):
    """CPU seconds of each process, by name, and the moment they were read."""

    cpu_s: dict[str, float]
    at: float

    @classmethod
    def read(cls, processes: Sequence[Process]) -> Usage:
        """Read all processes now."""
        return cls({process.name: process.cpu_s() for process in processes}, time.perf_counter())

    def since(self, before: Usage) -> dict[str, float]:
        """CPU seconds spent since an earlier reading, by name; at least one tick each."""
        return {
            name: max(spent - before.cpu_s[name], 1 / _CLOCK_TICKS)
            for name, spent in self.cpu_s.items()
        }


class Cluster(NamedTuple):
    """Two nodes and what stands between them."""

    processes: list[Process]  # nodes a and b first, then the forwarder if there is one
    urls: list[str]  # ws://host:port of nodes a and b

    def session_url(self, node: int, user: str) -> str:
        """Where a user opens a session on node a (0) or b (1)."""
        return f"{self.urls[node]}/websocket/mq/chat/{user}"


@contextlib.contextmanager
def cluster(topology: str, folder: Path) -> Iterator[Cluster]:
    """Run two nodes with a new database in a folder until the block is left."""
    with contextlib.ExitStack() as stack:
        config = {
            "cluster": "bench",
            "database": f"sqlite:///{folder / 'bench.db'}",
            "auth": {"mode": "open"},
            "sessions": {"agent": "many"},  # a fan-out has many desks
            "mesh": {"topology": topology},
            "nodes": [{"name": name, "http": "127.0.0.1:0"} for name in ("a", "b")],
        }
        between: list[Process] = []
        if topology == "forwarder":
            forwarder = stack.enter_context(_forwarder(folder))
            forwarder.wait_ready()
            between.append(forwarder)
            config["forwarders"] = [_forwarder_config(forwarder.ready_line)]
        path = folder / "nodes.yaml"
        path.write_text(yaml.safe_dump(config))
        nodes = [
            stack.enter_context(
                Process(
                    name, ["-m", "zmqchat", "node", "--config", str(path), "--name", name], folder
                )
            )
            for name in ("a", "b")
        ]
        for node in nodes:
            node.wait_ready()
        yield Cluster([*nodes, *between], [_websocket_url(node.ready_line) for node in nodes])


@contextlib.contextmanager
def baseline(kind: str, folder: Path) -> Iterator[tuple[Process, str]]:
    """Run a bare Tornado server; yield it and its ``ws://host:port``."""
    arguments = ["-m", "scripts.benchmark.baselines", kind]
    with Process(f"bare-{kind}", arguments, folder) as process:
        process.wait_ready()
        yield process, _websocket_url(process.ready_line)


def pin(processes: Sequence[Process]) -> None:
    """Give the load generator the first core to itself, and the servers the others."""
    if len(_CORES) < 2:
        raise ServerFailed(f"pinning needs 2 cores; this process may use {len(_CORES)}")
    os.sched_setaffinity(0, _CORES[:1])
    for process in processes:
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), _CORES[1:])


def _forwarder(folder: Path) -> Process:
    ports = ["--xsub", "tcp://127.0.0.1:0", "--xpub", "tcp://127.0.0.1:0"]
    return Process("forwarder", ["-m", "zmqchat", "forwarder", *ports], folder)


def _forwarder_config(ready_line: str) -> dict[str, str]:
    return {
        "name": "f1",
        "xsub": _found(r"xsub (tcp://\S+)", ready_line),
        "xpub": _found(r"xpub (tcp://\S+)", ready_line),
    }


def _websocket_url(ready_line: str) -> str:
    return "ws://" + _found(r"http://([^\s/]+)", ready_line)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ServerFailed(f"expected {pattern!r} in {text!r}")
    return match[1]
