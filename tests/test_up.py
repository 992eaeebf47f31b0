"""`zmqchat up`: order, restarts, stops, and nothing left behind. Its children are small scripts.

A script plays a node: it says ``NAME ready: …`` and what signals it gets. The delays are short;
everything else is as operators have it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, ZMQCHAT, Process, wait_until
from zmqchat.child import Backoff, Times, ending
from zmqchat.config import Config, Forwarder, Mesh, Node
from zmqchat.up import stages

UP = """
import json, sys
from zmqchat.child import Program, Times
from zmqchat.up import run
programs, times = json.loads(sys.argv[1])
sys.exit(run([[Program(name, tuple(argv)) for name, argv in stage] for stage in programs],
             Times(*times)))
"""

CHILD = """
import os, signal, sys, time
name, body = sys.argv[1:]
def say(text): print(text, flush=True)
def ready(): say(f"{name} ready: http://127.0.0.1:1 mesh x")
def on_term(*_): say(f"{name} got TERM"); sys.exit(0)
signal.signal(signal.SIGTERM, on_term)
signal.signal(signal.SIGINT, lambda *_: say(f"{name} got INT"))
say(f"{name} has pid {os.getpid()}")
exec(body)
while True: signal.pause()
"""

NO_PROGRAM = "there is nothing to run"

Stage = dict[str, str]  # what each child does, by its name
StartUp = Callable[..., Process]

TIMES = Times(first_delay_s=0.1, longest_delay_s=0.2, settled_s=5.0, stop_s=5.0)


def program(name: str, body: str) -> tuple[str, list[str]]:
    """Return a script to run; -S, as it needs no packages."""
    if body == NO_PROGRAM:
        return name, ["/no/such/program"]
    return name, [sys.executable, "-S", "-c", CHILD, name, body]


@pytest.fixture
def start_up(tmp_path: Path) -> Iterator[StartUp]:
    """Start `up` with stages of scripts; at the end no child may be left."""
    started: list[Process] = []

    def start(*stages: Stage, times: Times = TIMES) -> Process:
        programs = [[program(*child) for child in stage.items()] for stage in stages]
        argv = [sys.executable, "-c", UP, json.dumps([programs, times])]
        started.append(Process(tmp_path / f"up{len(started)}.log", argv))
        return started[-1]

    yield start
    for process in started:
        with process:
            pass
        await_end(process)


def await_end(process: Process) -> None:
    """Wait until none of the children that told their process id runs."""
    wait_until(
        lambda: not any(map(is_alive, pids(process))),
        "the end of all children",
        state=lambda: process.last_words,
    )


def pids(process: Process) -> list[int]:
    """Return the process ids that the children told."""
    return [int(line.split()[-1]) for line in process.output.splitlines() if " has pid " in line]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def said(process: Process, name: str = "up") -> list[str]:
    """Return the lines of one name, without the name."""
    lines = [line.partition(" | ") for line in process.output.splitlines()]
    return [text for label, _, text in lines if label.strip() == name]


# -- what is run --------------------------------------------------------------------------------

CONFIG = Config(
    nodes=[Node(name="n1", http="127.0.0.1:8001"), Node(name="n2", http="127.0.0.1:8002")],
    forwarders=[Forwarder(name="f1", xsub="tcp://127.0.0.1:1", xpub="tcp://127.0.0.1:2")],
    mesh=Mesh(topology="forwarder"),
)


def test_what_is_run_for_a_cluster() -> None:
    """Forwarders come before nodes; all children are told the file, their name and the parent."""
    forwarders, nodes = stages(CONFIG, Path("x.yaml"), insecure=True)
    common = ("--config", "x.yaml", "--name")
    parent = ("--parent", str(os.getpid()))
    zmqchat = (sys.executable, "-m", "zmqchat")
    assert [program.argv for program in forwarders] == [
        (*zmqchat, "forwarder", *common, "f1", *parent)
    ]
    assert [program.argv for program in nodes] == [
        (*zmqchat, "node", *common, name, *parent, "--insecure") for name in ("n1", "n2")
    ]


def test_a_direct_mesh_needs_no_forwarder() -> None:
    """Forwarders that are listed but not used by the topology are not started."""
    direct = Config(nodes=CONFIG.nodes, forwarders=CONFIG.forwarders)
    forwarders, nodes = stages(direct, Path("x.yaml"), insecure=False)
    assert forwarders == []
    assert [program.name for program in nodes] == ["n1", "n2"]


def test_the_delay_doubles_until_a_child_settles() -> None:
    """1, 2, 4 … 30 seconds for a child that dies at once, 1 again after ten seconds of life."""
    backoff = Backoff(Times())
    assert [backoff.after(0.5) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert backoff.after(10.0) == 1
    assert backoff.after(9.9) == 2


def test_how_a_process_ended() -> None:
    """An exit code and a signal are told apart."""
    assert ending(3) == "exit code 3"
    assert ending(-signal.SIGKILL) == "killed by SIGKILL"


# -- start and stop -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stages_start_in_order_and_stop_in_reverse(
    start_up: StartUp, number: signal.Signals
) -> None:
    """Nodes start when the forwarder is ready and are gone before it is asked to stop."""
    slow = "time.sleep(0.3); ready()"
    up = start_up({"f1": slow}, {"n1": "ready()", "n2": slow})
    up.expect(r"up \| customer http://127\.0\.0\.1:1/  desk http://127\.0\.0\.1:1/desk  \(n2\)")
    up.send(number)
    assert up.wait() == 0
    lines = [line for line in up.output.splitlines() if " has pid " not in line]
    assert lines[0] == "f1 | f1 ready: http://127.0.0.1:1 mesh x"
    assert set(lines[1:3]) == {f"n{i} | n{i} ready: http://127.0.0.1:1 mesh x" for i in (1, 2)}
    assert "up | stopping; once more kills at once" in lines
    assert set(lines[-3:-1]) == {"n1 | n1 got TERM", "n2 | n2 got TERM"}
    assert lines[-1] == "f1 | f1 got TERM"


def test_ctrl_c_of_a_terminal_reaches_no_child(start_up: StartUp) -> None:
    """A terminal signals its whole process group; the children are in none of it."""
    up = start_up({"n1": "ready()"})
    up.expect(r"up \| customer .*")
    os.killpg(up.pid, signal.SIGINT)
    assert up.wait() == 0
    assert said(up, "n1")[-1] == "n1 got TERM"
    assert "n1 got INT" not in up.output


def test_a_second_signal_kills_at_once(start_up: StartUp) -> None:
    """A child that does not want to stop is killed as soon as the operator insists."""
    up = start_up({"n1": "signal.signal(signal.SIGTERM, lambda *_: say('n1 stays')); ready()"})
    up.expect(r"up \| customer .*")
    up.send(signal.SIGINT)
    up.expect(r"n1 \| n1 stays")
    up.send(signal.SIGINT)
    assert up.wait(within_s=3.0) == 0  # well before stop_s


def test_a_child_that_does_not_stop_is_killed(start_up: StartUp) -> None:
    """Patience ends after `stop_s`, and is said to have ended."""
    up = start_up(
        {"n1": "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready()"},
        times=TIMES._replace(stop_s=0.2),
    )
    up.expect(r"up \| customer .*")
    assert up.stop() == 0
    assert said(up)[-1] == "n1 did not stop within 0.2 s: killed"


def test_a_stop_while_children_start(start_up: StartUp) -> None:
    """A signal in the middle of a start stops what has started and starts nothing more."""
    up = start_up({"f1": ""}, {"n1": "ready()"})
    up.expect(r"f1 \| f1 has pid \d+")
    assert up.stop() == 0
    assert said(up, "n1") == []


# -- deaths -------------------------------------------------------------------------------------


def test_a_child_that_dies_is_started_again(start_up: StartUp) -> None:
    """A child killed or ended is back after the delay; the others do not notice."""
    up = start_up({"n1": "ready()", "n2": "ready()"})
    up.expect(r"up \| customer .*\(n2\)")
    for life, killed in enumerate((signal.SIGKILL, signal.SIGTERM), start=1):
        os.kill(pids_of(up, "n1")[-1], killed)
        await_life(up, "n1", life + 1)
    assert said(up)[-2:] == [
        "n1 ended, killed by SIGKILL; starts again in 0.1 s",
        "n1 ended, exit code 0; starts again in 0.2 s",
    ]
    assert len(pids_of(up, "n2")) == 1


def await_life(up: Process, name: str, number: int) -> None:
    """Wait until a child was ready so many times."""
    wait_until(
        lambda: len([line for line in said(up, name) if " ready: " in line]) == number,
        f"life {number} of {name}",
        state=lambda: up.last_words,
    )


def pids_of(up: Process, name: str) -> list[int]:
    """Return the process ids of all lives of a child."""
    return [int(line.split()[-1]) for line in said(up, name) if " has pid " in line]


@pytest.mark.parametrize("code", [1, 2])
def test_a_start_that_fails_stops_everything(start_up: StartUp, code: int) -> None:
    """A child that cannot start is not tried for ever: its line is shown, its code returned."""
    up = start_up(
        {"f1": "ready()"}, {"n1": "ready()", "n2": f"say('n2: no such port'); sys.exit({code})"}
    )
    assert up.wait() == code
    assert said(up, "n2")[-1] == "n2: no such port"
    assert said(up)[-1] == f"n2 did not start, exit code {code}; stopping"
    assert said(up, "f1")[-1] == "f1 got TERM"


def test_a_failure_after_the_first_start_is_tried_again(start_up: StartUp, tmp_path: Path) -> None:
    """What ran once is restarted even when its new start fails: others must not pay for it."""
    flag = tmp_path / "flag"
    up = start_up(
        {"n1": f"p = {str(flag)!r}; os.path.exists(p) and sys.exit(2); open(p, 'w'); ready()"}
    )
    up.expect(r"up \| customer .*")
    os.kill(pids(up)[0], signal.SIGKILL)
    up.expect(r"up \| n1 ended, exit code 2; starts again in 0\.2 s")
    flag.unlink()
    await_life(up, "n1", 2)
    assert up.stop() == 0


def test_a_program_that_cannot_be_run(start_up: StartUp) -> None:
    """A mistake of ours in what is to be run is shown as one, and leaves no child behind."""
    up = start_up({"n1": "ready()"}, {"n2": NO_PROGRAM})
    assert up.wait() == 1
    assert "FileNotFoundError" in up.output
    assert said(up, "n1")[-1] == "n1 got TERM"


def test_children_die_with_a_parent_that_is_killed(start_up: StartUp) -> None:
    """A kill -9 of `up` takes even a child along that ignores every signal."""
    stubborn = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from zmqchat.parent import die_with\n"
        "die_with(os.getppid()); ready()"
    )
    up = start_up({"n1": stubborn})
    up.expect(r"up \| customer .*")
    up.kill()
    await_end(up)


def test_a_parent_that_ended_before_the_child_looked(tmp_path: Path) -> None:
    """A child whose parent is gone already does not begin to live."""
    program = f"from zmqchat.parent import die_with; die_with({os.getpid() + 1}); print('lives')"
    with Process(tmp_path / "log", [sys.executable, "-c", program]) as orphan:
        assert orphan.wait() == -signal.SIGKILL
        assert orphan.output == ""


# -- the log ------------------------------------------------------------------------------------


def test_the_log_says_who_wrote_each_line(start_up: StartUp) -> None:
    """Names are padded to one width; long lines and bytes that are no text pass through."""
    body = (
        "ready(); say('x' * 200_000); os.write(2, b'\\xff\\n');"
        " os.write(1, b'last words'); sys.exit()"
    )
    up = start_up({"n1": body, "longer": "ready()"})
    up.expect(r"longer \| longer ready: .*")
    up.expect(r"n1     \| last words")
    assert sum(line.count("x") for line in said(up, "n1") if "xx" in line) == 200_000
    assert "\ufffd" in said(up, "n1")


def test_a_log_that_nobody_reads_any_more(tmp_path: Path) -> None:
    """When the reader of a pipe is gone, everything stops, and without a traceback."""
    child = [
        sys.executable,
        "-S",
        "-c",
        CHILD,
        "n1",
        "ready()\nwhile True: say('.'); time.sleep(.01)",
    ]
    argv = [sys.executable, "-c", UP, json.dumps([[[("n1", child)]], TIMES])]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        (tmp_path / "errors").open("wb") as errors,
        subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=errors) as up,
    ):
        assert up.stdout is not None
        pid = int(up.stdout.readline().split()[-1])
        up.stdout.close()
        assert up.wait(15) == 1
    assert not is_alive(pid)
    assert (tmp_path / "errors").read_text() == ""


# -- real nodes ---------------------------------------------------------------------------------

NODES = """
nodes:
  - {name: n1, http: "127.0.0.1:0"}
  - {name: n2, http: "127.0.0.1:0"}
"""


@pytest.fixture
def real_up(tmp_path: Path) -> Iterator[Process]:
    """Run `zmqchat up` with two nodes that find each other through their database."""
    (tmp_path / "nodes.yaml").write_text(NODES)
    with Process(tmp_path / "log", (*ZMQCHAT, "up"), cwd=tmp_path) as process:
        for name in ("n1", "n2"):
            process.expect(rf"up \| customer http://\S+:\d+/  desk http://\S+/desk  \({name}\)")
        children = children_of(process.pid)
        assert len(children) == 2
        yield process
    wait_until(
        lambda: not any(map(is_alive, children)),
        "the end of the nodes",
        state=lambda: process.last_words,
    )


def children_of(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in lists for child in file.read_text().split()]


@pytest.mark.cluster
def test_a_real_cluster_starts_restarts_and_stops(real_up: Process) -> None:
    """A node that is killed comes back by itself; Ctrl-C ends all without a traceback."""
    os.kill(children_of(real_up.pid)[0], signal.SIGKILL)
    real_up.expect(r"up \| n\d ended, killed by SIGKILL; starts again in 1 s")
    wait_until(
        lambda: real_up.output.count(" ready: http://") == 3,
        "the node to be back",
        state=lambda: real_up.last_words,
    )
    os.killpg(real_up.pid, signal.SIGINT)
    assert real_up.wait() == 0
    assert "Traceback" not in real_up.output


@pytest.mark.cluster
def test_real_nodes_die_with_a_killed_parent(real_up: Process) -> None:
    """A kill -9 of `zmqchat up` leaves no node behind."""
    real_up.kill()


@pytest.mark.cluster
def test_a_real_port_in_use_ends_everything(real_up: Process, tmp_path: Path) -> None:
    """The line of the node that cannot start is shown, and `up` ends with exit code 1."""
    port = real_up.expect(r"n2 \| n2 ready: http://127\.0\.0\.1:(\d+) mesh .*")[1]
    folder = tmp_path / "second"
    folder.mkdir()
    (folder / "nodes.yaml").write_text(NODES.replace(":0", f":{port}", 1))
    with Process(folder / "log", (*ZMQCHAT, "up"), cwd=folder) as second:
        assert second.wait() == 1
        assert f"zmqchat: n1: cannot listen on 127.0.0.1:{port}" in said(second, "n1")[0]
        assert said(second)[-1] == "n1 did not start, exit code 1; stopping"
