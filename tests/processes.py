"""Real processes in tests: nodes, forwarders, or any other command.

Output goes to a file that a failure shows. Nothing outlives its ``with`` block: what still runs
at the end is asked to stop, and killed if it does not, which fails the test. Should the tests
themselves be killed, nodes and forwarders die with them.
"""

from __future__ import annotations

import copy
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import yaml

START_S = 30.0  # two cores may be starting a dozen processes at once
STOP_S = 15.0
POLL_S = 0.01
SHOWN_CHARS = 5000  # of a log, when a test fails

ROOT = Path(__file__).parent.parent
ANY_PORT = "tcp://127.0.0.1:0"
ZMQCHAT = (sys.executable, "-m", "zmqchat")
NOT_INHERITED = ("ZMQCHAT_", "PYTHONASYNCIODEBUG", "NO_COLOR", "FORCE_COLOR")

T = TypeVar("T")
Config = dict[str, Any]  # what stands in a nodes.yaml


def wait_until(
    attempt: Callable[[], T], what: str, *, state: Callable[[], object], within_s: float = START_S
) -> T:
    """Return the first true answer of ``attempt``, or fail with what the last state was."""
    deadline = time.monotonic() + within_s
    while not (answer := attempt()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within_s:g} s for {what}; last state:\n{state()}")
        time.sleep(POLL_S)
    return answer


class Process:
    """A running command with its output; ends with its block."""

    def __init__(
        self,
        log: Path,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(NOT_INHERITED)}
        self._log = log
        self._seen = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C of a developer goes to pytest alone
                env={**inherited, "PYTHONPATH": str(ROOT), **(env or {})},
                cwd=cwd,
            )

    @property
    def pid(self) -> int:
        """Its process id; also that of its process group."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, minus the signal that killed it, None while it runs."""
        return self._popen.poll()

    @property
    def output(self) -> str:
        """All it has written, to stdout and stderr."""
        with self._log.open("rb") as file:
            file.seek(self._seen)
            return file.read().decode(errors="replace")

    @property
    def last_words(self) -> str:
        """The end of its output, to be shown when a test fails."""
        return self.output[-SHOWN_CHARS:]

    def expect(self, pattern: str, within_s: float = START_S) -> re.Match[str]:
        """Wait for a line of output that matches from its beginning to its end."""
        whole = re.compile(rf"^{pattern}$", re.MULTILINE)

        def found() -> re.Match[str] | None:
            ended = self.returncode is not None  # asked first: it may write to its last moment
            if (match := whole.search(self.output)) is None and ended:
                raise AssertionError(
                    f"ended with {self.returncode} before a line {pattern!r}:\n{self.last_words}"
                )
            return match

        match = wait_until(
            found, f"a line {pattern!r}", state=lambda: self.last_words, within_s=within_s
        )
        assert match is not None
        return match

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def wait(self, within_s: float = STOP_S) -> int:
        """Wait for its end and return the exit code."""
        try:
            return self._popen.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"process {self.pid} still runs after {within_s:g} s:\n{self.last_words}"
            ) from None

    def stop(self, within_s: float = STOP_S) -> int:
        """Ask it to stop, and return the exit code."""
        self.send(signal.SIGTERM)
        return self.wait(within_s)

    def kill(self) -> None:
        """Kill it without warning, and wait until it is gone."""
        self._popen.kill()
        self._popen.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self.returncode is None:
                self.send(signal.SIGCONT)  # a test may have frozen it
                self.stop()
        except AssertionError:
            if kind is None:
                raise
        finally:
            self.kill()


class ClusterProcesses:
    """A cluster of real processes in a folder of its own, on ports that the system gives.

    ``settings`` are further keys of nodes.yaml, as ``database=server.fresh()`` of a `MariaServer`
    instead of a file in the folder. Forwarders are called f1, f2 …, nodes n1, n2 …; whatever else
    is started is a node that is not listed. With ``own_config`` each node reads a file of its own:
    what that makes of the node's name and the common configuration; with ``own_argv`` it is started
    by what that makes of its command. ``keys_file`` has the keys of the mesh. A ``shared`` cluster
    serves several tests, which may start some of it again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int = 2,
        topology: str = "direct",
        forwarders: int = 0,
        own_config: Callable[[str, Config], Config] | None = None,
        own_argv: Callable[[str, Sequence[str]], Sequence[str]] | None = None,
        shared: bool = False,
        keys_file: Path | None = None,
        **settings: object,
    ) -> None:
        self.folder = folder
        self.config_file = folder / "nodes.yaml"
        self.database = folder / "zmqchat.db"
        self.url_of: dict[str, str] = {}  # of each node by its name, as browsers use it
        self.processes: dict[str, Process] = {}  # the newest life of each name
        self._endpoints = {f"f{i}": (ANY_PORT, ANY_PORT) for i in range(1, forwarders + 1)}
        self._nodes = [f"n{i}" for i in range(1, nodes + 1)]
        self._own_config = own_config
        self._own_argv = own_argv or (lambda _, argv: argv)
        self._shared = shared
        self._keys_file = keys_file
        mesh = {"topology": topology, **({"keys_file": str(keys_file)} if keys_file else {})}
        self._settings = {"cluster": "test", "mesh": mesh, **settings}

    @property
    def forwarders(self) -> list[str]:
        """The names of all forwarders."""
        return list(self._endpoints)

    def endpoints(self, name: str) -> tuple[str, str]:
        """Where a forwarder really listens: (xsub, xpub)."""
        return self._endpoints[name]

    @property
    def nodes(self) -> list[str]:
        """The names of all nodes."""
        return list(self._nodes)

    @property
    def urls(self) -> list[str]:
        """What browsers use, n1 first; a node that started again may have another port."""
        return [self.url_of[name] for name in self._nodes]

    def start(self, *names: str) -> None:
        """Start these forwarders and nodes, again or for the first time, and wait for them."""
        self.launch(*names)
        self.await_ready(*names)

    def launch(self, *names: str) -> None:
        """Start these without waiting; in the main thread.

        The kernel kills a child that asked to die with its parent when the thread ends that
        started it.
        """
        for name in names:
            assert name not in self.processes or self.processes[name].returncode is not None
            self.processes[name] = Process(self._log(name), self._argv(name))

    def await_ready(self, *names: str) -> None:
        """Wait until these can be used; in any thread."""
        for name in names:
            self._await_ready(name)

    def await_whole(self) -> None:
        """Wait until every running node has heard of every other."""
        running = [name for name in self._nodes if self.processes[name].returncode is None]
        others = len(running) - 1
        wait_until(
            lambda: all(self.peers_of(name) == others for name in running),
            f"each of {len(running)} nodes to hear {others} others",
            state=lambda: {name: self.peers_of(name) for name in running},
        )

    def peers_of(self, name: str) -> int:
        """How many other nodes a node hears, by its own metrics."""
        with urllib.request.urlopen(f"{self.url_of[name]}/metrics", timeout=START_S) as answer:
            text = answer.read().decode()
        match = re.search(r"^zmqchat_mesh_peers ([0-9.]+)$", text, re.MULTILINE)
        assert match is not None, text
        return int(float(match[1]))

    def stop(self, *names: str) -> None:
        """Ask these to stop; fail if one does not, or not with exit code 0."""
        for name in names:
            self.processes[name].send(signal.SIGTERM)
        for name in names:
            code = self.processes[name].wait()
            assert code == 0, f"{name} ended with {code}:\n{self.processes[name].last_words}"

    def kill(self, *names: str) -> None:
        """Kill these without warning, as a power cut would."""
        for name in names:
            self.processes[name].kill()

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP and SIGCONT."""
        self.processes[name].send(number)

    def log(self, name: str) -> str:
        """All that a name has written, in all its lives."""
        return self._log(name).read_text(errors="replace")

    def __enter__(self) -> Self:
        if self._shared:
            _shared_clusters.append(self)
        try:
            self.start(*self.forwarders)
            self._write_config()
            self.start(*self.nodes)
            self.await_whole()
        except BaseException:
            self._kill_all()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._stop_all()
        finally:
            self._kill_all()

    def _stop_all(self) -> None:
        nodes = [name for name in self.processes if name not in self._endpoints]
        for group in (nodes, self.forwarders):
            running = [name for name in group if self.processes[name].returncode is None]
            for name in running:
                self.send(name, signal.SIGCONT)
            self.stop(*running)
        for name in self.processes:
            assert "Traceback (most recent call last)" not in self.log(name), self.log(name)

    def _kill_all(self) -> None:
        self.kill(*self.processes)
        if self._shared:
            _shared_clusters.remove(self)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _argv(self, name: str) -> Sequence[str]:
        common = ("--name", name, "--parent", str(os.getpid()))
        if name in self._endpoints:
            xsub, xpub = self._endpoints[name]
            keys = ("--keys-file", str(self._keys_file)) if self._keys_file else ()
            return (*ZMQCHAT, "forwarder", *common, "--xsub", xsub, "--xpub", xpub, *keys)
        unlisted = () if name in self._nodes else ("--http", "127.0.0.1:0")
        argv = (*ZMQCHAT, "node", *common, "--config", str(self._config_of(name)), *unlisted)
        return self._own_argv(name, argv)

    def _await_ready(self, name: str) -> None:
        process = self.processes[name]
        if name in self._endpoints:
            ready = process.expect(rf"{name} ready: xsub (tcp://\S+) xpub (tcp://\S+)")
            self._endpoints[name] = (ready[1], ready[2])
        else:
            self.url_of[name] = process.expect(rf"{name} ready: (http://\S+) mesh .+")[1]

    def _write_config(self) -> None:
        config: Config = {
            "database": f"sqlite:///{self.database}",
            **self._settings,
            "forwarders": [
                {"name": name, "xsub": xsub, "xpub": xpub}
                for name, (xsub, xpub) in self._endpoints.items()
            ],
            "nodes": [{"name": name, "http": "127.0.0.1:0"} for name in self._nodes],
        }
        self.config_file.write_text(yaml.safe_dump(config))
        if self._own_config is not None:
            for name in self._nodes:
                own = self._own_config(name, copy.deepcopy(config))
                self._config_of(name).write_text(yaml.safe_dump(own))

    def _config_of(self, name: str) -> Path:
        has_own = self._own_config is not None and name in self._nodes
        return self.folder / f"{name}.yaml" if has_own else self.config_file


_shared_clusters: list[ClusterProcesses] = []


def shared_pids() -> set[int]:
    """The processes that a test may leave, since further tests use their cluster."""
    return {one.pid for cluster in _shared_clusters for one in cluster.processes.values()}
