"""A private MariaDB for tests and scripts: its own data, its own port, started and killed at will.

with MariaServer(folder) as server:
    url = server.fresh()     # of an empty database
    server.kill()            # as a crash would
    server.start()           # on the same port, with what was committed
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pymysql

from tests.processes import Process

PROGRAM = "/usr/sbin/mariadbd"  # not in everybody's PATH
INSTALLER = "mariadb-install-db"
USER = "zmqchat"
PORTS = range(20_000, 32_000)  # below those that the system gives out by itself
MISSING = "mariadbd is missing"
STOP_S = 30.0

_TAKEN = "Address already in use"
_SETTINGS = (
    "--no-defaults",
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=64M",
)


def is_installed() -> bool:
    """Whether this machine has a MariaDB server."""
    return _program() is not None and shutil.which(INSTALLER) is not None


def _program() -> str | None:
    return shutil.which("mariadbd") or shutil.which(PROGRAM)


class MariaServer:
    """A server with its data in ``folder``; ``options`` are further ones of mariadbd.

    `start` and `launch` belong into the main thread: the server is killed when the thread that
    started it ends.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = 0
        self.process: Process | None = None
        self._options = options
        self._numbers = itertools.count(1)
        # The path of a socket has little room, less than that of a test's folder may take.
        self._socket = Path(f"/tmp/zmqchat-{os.getpid()}-{id(self):x}.sock")

    def __enter__(self) -> Self:
        self._install()
        try:
            self.start()
            self._add_user()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._socket.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    # -- its life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server, again or for the first time, and wait until it answers."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Start the server without waiting; the first time, on a port that nobody uses."""
        if self.port:
            self._run(self.port)
            return
        while not self.port:
            port = random.choice(PORTS)
            process = self._run(port)
            if process.expect(rf".*({_TAKEN}|ready for connections).*")[1] != _TAKEN:
                self.port = port
            else:
                process.kill()

    def await_ready(self) -> None:
        """Wait until the server answers; in any thread."""
        assert self.process is not None
        self.process.expect(".*: ready for connections.*")

    def stop(self) -> None:
        """Ask the server to stop, and wait until it has."""
        assert self.process is not None
        assert self.process.stop(STOP_S) == 0, self.process.last_words

    def kill(self) -> None:
        """Kill the server without warning, if it runs."""
        if self.process is not None:
            self.process.kill()

    def cpu_s(self) -> float:
        """CPU seconds that its threads have used, to the nanosecond."""
        assert self.process is not None
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def send(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP and SIGCONT."""
        assert self.process is not None
        self.process.send(number)

    def _run(self, port: int) -> Process:
        program = _program()
        assert program is not None, MISSING
        setpriv = shutil.which("setpriv")
        argv = [
            *([setpriv, "--pdeathsig", "KILL"] if setpriv else []),
            program,
            *_SETTINGS,
            f"--datadir={self.folder / 'data'}",
            f"--socket={self._socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={port}",
            *(["--user=root"] if os.geteuid() == 0 else []),
            *self._options,
        ]
        self.process = Process(self.folder / "mariadbd.log", argv)
        return self.process

    def _install(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        installed = subprocess.run(
            [
                INSTALLER,
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *(["--user=root"] if os.geteuid() == 0 else []),
            ],
            capture_output=True,
            text=True,
        )
        assert installed.returncode == 0, installed.stdout + installed.stderr

    def _add_user(self) -> None:
        for host in ("127.0.0.1", "localhost"):
            self.run(f"CREATE USER '{USER}'@'{host}'")
            self.run(f"GRANT ALL ON `chat\\_%`.* TO '{USER}'@'{host}'")

    # -- its content -----------------------------------------------------------------------------

    def fresh(self) -> str:
        """Make an empty database and return its address."""
        name = f"chat_{next(self._numbers)}"
        # What an operator may have chosen, or not: the store must not depend on it.
        self.run(f"CREATE DATABASE {name} CHARACTER SET latin1")
        return self.url(name)

    def url(self, name: str) -> str:
        """The address of a database."""
        return f"mysql://{USER}@127.0.0.1:{self.port}/{name}"

    def socket_url(self, name: str) -> str:
        """The address of a database by the socket of this machine."""
        return f"mysql://{USER}@localhost/{name}?socket={self._socket}"

    @contextlib.contextmanager
    def connection(self, database: str | None = None) -> Iterator[pymysql.Connection[Any]]:
        """Connect as the server's root."""
        connection = pymysql.connect(
            user="root", unix_socket=str(self._socket), database=database, autocommit=True
        )
        try:
            yield connection
        finally:
            connection.close()

    def run(self, sql: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement on a connection of its own."""
        with self.connection(database) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())
