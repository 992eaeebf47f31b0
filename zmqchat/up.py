"""`zmqchat up`: the whole cluster on one machine, as child processes with one log.

- Stages start one after the other, each when all of the one before are ready, and stop in
  reverse: nodes need their forwarders to the end.
- Children have a session of their own, so Ctrl-C in a terminal reaches only this process, which
  stops them in order; and they die with it, however it dies (see `parent`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from zmqchat.child import Child, Program, Times, ending
from zmqchat.config import Config

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stages(config: Config, file: Path, *, insecure: bool) -> list[list[Program]]:
    """Tell what to run for a cluster: forwarders where its topology has them, then nodes."""

    def program(kind: str, name: str, *flags: str) -> Program:
        common = ("--config", str(file), "--name", name, "--parent", str(os.getpid()))
        return Program(name, (sys.executable, "-m", "zmqchat", kind, *common, *flags))

    listed = config.forwarders if config.mesh.topology == "forwarder" else []
    flags = ["--insecure"] if insecure else []
    return [
        [program("forwarder", one.name) for one in listed],
        [program("node", one.name, *flags) for one in config.nodes],
    ]


def run(programs: Sequence[Sequence[Program]], times: Times = Times()) -> int:  # noqa: B008 - frozen
    """Run stages of programs until a signal to stop, or a failed start; return the exit code."""
    return asyncio.run(_Up(programs, times).run())


class _Up:
    """Starts stages of children, and stops them all."""

    def __init__(self, programs: Sequence[Sequence[Program]], times: Times) -> None:
        self._programs = programs
        self._times = times
        self._stages: list[dict[Child, asyncio.Task[int]]] = []
        self._exit_code: int | None = None  # set as soon as everything is to stop
        self._changed = asyncio.Event()
        names = [program.name for stage in programs for program in stage]
        self._colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}

    async def run(self) -> int:
        """Run until told to stop, and return the exit code."""
        for number in _STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup asks for
                asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        try:
            for stage in self._programs:
                self._stages.append(dict(map(self._launch, stage)))
                await self._until(lambda: all(child.was_ready for child in self._children()))
            self._announce()
            await self._until(lambda: False)
        finally:
            await self._stop_all()
        return self._exit_code or 0

    def _launch(self, program: Program) -> tuple[Child, asyncio.Task[int]]:
        child = Child(program, self._times, self._say, self._changed.set)
        task = asyncio.create_task(child.keep(), name=program.name)
        task.add_done_callback(self._on_failed_start)
        return child, task

    def _children(self) -> list[Child]:
        return [child for stage in self._stages for child in stage]

    async def _until(self, condition: Callable[[], bool]) -> None:
        while self._exit_code is None and not condition():
            self._changed.clear()
            await self._changed.wait()

    def _announce(self) -> None:
        for child in self._children():
            if self._exit_code is None and child.url is not None:
                self._say("up", f"customer {child.url}/  desk {child.url}/desk  ({child.name})")

    # -- stopping -------------------------------------------------------------------------------

    def _on_signal(self) -> None:
        if self._exit_code is None:
            self._say("up", "stopping; once more kills at once")
            self._stop(0)
        else:
            for child in self._children():
                child.kill()

    def _on_failed_start(self, task: asyncio.Task[int]) -> None:
        if task.cancelled():
            return
        code = 1 if task.exception() else task.result()  # what was raised, `_stop_all` raises
        self._say("up", f"{task.get_name()} did not start, {ending(code)}; stopping")
        self._stop(code)

    def _stop(self, code: int) -> None:
        if self._exit_code is None:
            self._exit_code = code
            self._changed.set()

    async def _stop_all(self) -> None:
        outcomes: list[int | BaseException] = []
        for stage in reversed(self._stages):
            for task in stage.values():
                task.cancel()
            outcomes += await asyncio.gather(*stage.values(), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):  # a mistake of ours, not the cancellation
                raise outcome

    # -- the log --------------------------------------------------------------------------------

    def _say(self, name: str, line: str) -> None:
        width = max(map(len, self._colours), default=0)
        label = click.style(f"{name:{width}} |", fg=self._colours.get(name), bold=name == "up")
        try:
            click.echo(f"{label} {line}")
        except BrokenPipeError:
            # Who read the log is gone, as `tee` is after a Ctrl-C: stop, and write to nobody.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._stop(1)
