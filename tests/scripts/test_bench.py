"""The whole of scripts/bench against real processes, with few messages."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FAULTS = {"lost", "doubled", "out_of_order", "errors", "disconnects"}


@contextlib.contextmanager
def _bench(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "scripts.benchmark", "--folder", str(folder), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as bench:
        try:
            yield bench
        finally:
            bench.terminate()


def _measured(folder: Path, *options: str) -> dict[str, Any]:
    few = ["--json", "--runs", "1", "--seconds", "5", "--messages", "200"]
    with _bench(folder, *few, *options) as bench:
        output, errors = bench.communicate(timeout=100)
    assert bench.returncode == 0, errors
    assert list(folder.iterdir()) == []
    result = json.loads(output)
    assert result["faults"] == []
    figures: dict[str, Any] = result["figures"]
    return figures


@pytest.mark.cluster
@pytest.mark.parametrize("topology", ["direct", "forwarder"])
def test_messages_are_counted_and_none_is_wrong(tmp_path: Path, topology: str) -> None:
    """Windowed and wide deliver exactly what was asked for, with nothing lost or doubled."""
    figures = _measured(tmp_path, "--only", "windowed,wide", "--topology", topology)
    for name in ("windowed", "wide"):
        found = figures[name]
        assert found["messages"]["median"] == 200
        assert found["messages_per_s"]["median"] > 0
        assert found["messages_per_cpu_s"]["median"] > 0
        assert found.keys() >= FAULTS
        assert all(found[fault]["most"] == 0 for fault in FAULTS)
        assert ("cpu_percent_forwarder" in found) == (topology == "forwarder")


@pytest.mark.cluster
def test_latency_is_measured_at_a_fixed_rate(tmp_path: Path) -> None:
    """At 400 messages a second 200 take half a second, and the percentiles rise."""
    found = _measured(tmp_path, "--only", "rates", "--rates", "400")["rate_400"]
    assert found["messages"]["median"] == 200
    assert found["messages_per_s"]["median"] < 410
    ranks = [found[name]["median"] for name in ("p50_ms", "p99_ms", "p999_ms", "max_ms")]
    assert ranks == sorted(ranks)
    assert ranks[0] > 0


@pytest.mark.cluster
def test_idle_sessions_are_compared_with_bare_tornado(tmp_path: Path) -> None:
    """CPU a connect and memory a connection stand beside the ratios to a bare handler."""
    figures = _measured(tmp_path, "--only", "connects", "--connects", "100")
    ours, bare = figures["connects"], figures["bare_connects"]
    for name in ("cpu_ms_per_connect", "kib_per_connection"):
        assert ours[name]["median"] > 0
        ratio = ours[name]["median"] / bare[name]["median"]
        assert ours[f"{name}_to_bare_connects"]["median"] == pytest.approx(ratio)


@pytest.mark.cluster
def test_fan_out_reaches_every_session(tmp_path: Path) -> None:
    """200 messages to 5 sessions are 1,000 deliveries."""
    found = _measured(tmp_path, "--only", "fanout", "--agents", "5")["fanout"]
    assert found["deliveries"]["median"] == 1000


def test_bare_echo_is_the_yardstick(tmp_path: Path) -> None:
    """A bare Tornado echo is measured by the same clients."""
    figures = _measured(tmp_path, "--only", "echo")
    assert figures["echo_windowed"]["messages"]["median"] == 200
    assert figures["echo_wide"]["messages"]["median"] == 200


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--only", "windowed,nothing"], "'nothing' is none of echo, windowed"),
        (["--rates", "500,fast"], "expected numbers above 0 as 500,1000, got '500,fast'"),
    ],
)
def test_bad_options_are_named(tmp_path: Path, options: list[str], said: str) -> None:
    """A wrong option ends with exit code 2 and says what was expected."""
    with _bench(tmp_path, *options) as bench:
        _, errors = bench.communicate(timeout=20)
    assert bench.returncode == 2
    assert said in errors


def test_nothing_stays_behind_when_it_is_stopped(tmp_path: Path) -> None:
    """SIGTERM in the middle of a run ends the server that was started and removes the folder."""
    with _bench(tmp_path, "--only", "echo", "--seconds", "60") as bench:
        children = _children_at_work(bench.pid)
        bench.send_signal(signal.SIGTERM)
        bench.communicate(timeout=20)
    assert bench.returncode == 128 + signal.SIGTERM
    assert not any(map(_runs, children))
    assert list(tmp_path.iterdir()) == []


def test_servers_do_not_outlive_a_bench_that_was_killed(tmp_path: Path) -> None:
    """SIGKILL leaves no time to clean up, and still no server runs on."""
    with _bench(tmp_path, "--only", "echo", "--seconds", "60") as bench:
        children = _children_at_work(bench.pid)
        bench.kill()
        bench.communicate(timeout=20)
    deadline = time.monotonic() + 10
    while running := [child for child in children if _runs(child)]:
        assert time.monotonic() < deadline, f"still running: {running}"
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _children_at_work(pid: int) -> list[int]:
    """The children of a process, once they have used more CPU than starting takes."""
    deadline = time.monotonic() + 30
    children: list[int] = []
    while time.monotonic() < deadline:
        names = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        children = [int(name) for name in names]
        if sum(map(_cpu_ticks, children)) > 100:
            return children
        time.sleep(0.02)
    raise AssertionError(f"no load after 30 s; children of the bench: {children}")


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
