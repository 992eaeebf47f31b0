"""A program that is kept running as a child process, and started again whenever it ends.

Its output is passed on line by line. It says itself when it is ready, in a line that begins with
``NAME ready: ``.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

_MAX_LINE_BYTES = 65_536
_LAST_WORDS_S = 1.0  # to read what a child wrote before it ended

Say = Callable[[str, str], None]  # takes who says it, and a line


class Program(NamedTuple):
    """What to run, under which name."""

    name: str
    argv: tuple[str, ...]


class Times(NamedTuple):
    """How patient to be, in seconds."""

    first_delay_s: float = 1.0  # before a child is started again, doubled each time
    longest_delay_s: float = 30.0
    settled_s: float = 10.0  # a child that lived this long begins with the first delay again
    stop_s: float = 10.0  # from SIGTERM to SIGKILL


class Backoff:
    """How long to wait before a child is started again."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._delay_s = 0.0

    def after(self, lived_s: float) -> float:
        """Tell the delay in seconds for a child that ended after ``lived_s`` seconds."""
        if lived_s >= self._times.settled_s or not self._delay_s:
            self._delay_s = self._times.first_delay_s
        else:
            self._delay_s = min(2 * self._delay_s, self._times.longest_delay_s)
        return self._delay_s


class Child:
    """A program, kept running; ``on_ready`` is called each time it says so."""

    def __init__(
        self, program: Program, times: Times, say: Say, on_ready: Callable[[], None]
    ) -> None:
        self.name = program.name
        self.was_ready = False
        self.url: str | None = None  # what browsers use, where its ready line tells
        self._argv = program.argv
        self._times = times
        self._say = say
        self._on_ready = on_ready
        self._process: asyncio.subprocess.Process | None = None

    async def keep(self) -> int:
        """Keep it running until cancelled, or return the exit code of a start that failed.

        A start failed if the program ended by itself, not by a signal, and never was ready: its
        own line says why, and trying again would not help.
        """
        backoff = Backoff(self._times)
        while True:
            started = time.monotonic()
            code = await self._live()
            if code > 0 and not self.was_ready:
                return code
            delay_s = backoff.after(time.monotonic() - started)
            self._say("up", f"{self.name} ended, {ending(code)}; starts again in {delay_s:g} s")
            await asyncio.sleep(delay_s)

    def kill(self) -> None:
        """Kill what runs at this moment, if anything does."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _live(self) -> int:
        """Run it once and return its exit code; when cancelled, end it before leaving."""
        self._process = process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        reading = asyncio.create_task(self._read(process.stdout))
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                await self._end(process)
            await asyncio.wait({reading}, timeout=_LAST_WORDS_S)
            reading.cancel()
            self._process = None

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._times.stop_s)
        except TimeoutError:
            self._say("up", f"{self.name} did not stop within {self._times.stop_s:g} s: killed")
            self.kill()
            await process.wait()

    async def _read(self, output: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await output.read(_MAX_LINE_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take(line)
            if len(rest) >= _MAX_LINE_BYTES:
                self._take(rest)
                rest = b""
        if rest:
            self._take(rest)

    def _take(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        self._say(self.name, text)
        _, ready, where = text.partition(f"{self.name} ready: ")
        if ready and text.startswith(ready):
            address = where.partition(" ")[0]
            self.url = address if address.startswith("http") else None
            self.was_ready = True
            self._on_ready()


def ending(code: int) -> str:
    """Tell in words how a process ended, by its exit code or the signal that is minus it."""
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
