"""The command line: what it prints, its exit codes, and its processes as an operator runs them."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.databases import MariaServer
from tests.processes import ANY_PORT, ZMQCHAT, Process
from zmqchat import __version__, cli
from zmqchat.cli import ERROR, FINE, USAGE

NODES = "nodes:\n  - {name: n1, http: '127.0.0.1:0'}\n"
TWO_NODES = f"{NODES}  - {{name: n2, http: '127.0.0.1:0'}}\n"
EXPOSED = "nodes:\n  - {name: n1, http: '0.0.0.0:0', url: 'http://chat.example.com'}\n"


class Answer(NamedTuple):
    """What a command line did."""

    code: object
    out: str
    err: list[str]  # lines


Run = Callable[..., Answer]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run command lines in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for variable in ("ZMQCHAT_NODE", "ZMQCHAT_DATABASE", "ZMQCHAT_DB_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)

    def command(*args: str) -> Answer:
        with pytest.raises(SystemExit) as ended:
            cli.main(args)
        out, err = capsys.readouterr()
        return Answer(ended.value.code, out, err.splitlines())

    return command


# -- usage and configuration --------------------------------------------------------------------


def test_version(run: Run) -> None:
    """`--version` prints the program and its version."""
    assert run("--version") == Answer(FINE, f"zmqchat {__version__}\n", [])


@pytest.mark.parametrize(
    "command", [(), ("node",), ("forwarder",), ("up",), ("config",), ("config", "check"), ("db",)]
)
def test_help(run: Run, command: tuple[str, ...]) -> None:
    """Every command explains itself, and every option has its words."""
    answer = run(*command, "--help")
    assert (answer.code, answer.err) == (FINE, [])
    assert answer.out.startswith(f"Usage: {' '.join(('zmqchat', *command))} [OPTIONS]")
    assert "--parent" not in answer.out


def test_every_option_and_command_has_words() -> None:
    """An option or a command without a sentence of help is a mistake of ours."""
    pending = [cli.commands]
    while pending:
        command = pending.pop()
        assert command.help, command.name
        pending += getattr(command, "commands", {}).values()
        for option in command.params:
            assert getattr(option, "hidden", False) or getattr(option, "help", None), option.name


@pytest.mark.parametrize("command", [(), ("config",)])
def test_no_command_is_a_mistake_with_help(run: Run, command: tuple[str, ...]) -> None:
    """Without a command the help is shown, as an error."""
    answer = run(*command)
    assert answer.code == USAGE
    assert answer.err[0].startswith("Usage: zmqchat")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["bogus"], "No such command 'bogus'; see zmqchat --help"),
        (["node", "--bogus"], "No such option '--bogus'; see zmqchat node --help"),
        (["node"], "no --config given, and no nodes.yaml in this folder; see zmqchat node --help"),
        (
            ["config", "check", "--config", "none.yaml"],
            "none.yaml: cannot be read: No such file or directory",
        ),
        (
            ["forwarder", "--xsub", ANY_PORT],
            "expected either --config, or both --xsub and --xpub; see zmqchat forwarder --help",
        ),
        (
            ["forwarder", "--xsub", ANY_PORT, "--xpub", ANY_PORT, "--config", "nodes.yaml"],
            "expected either --config, or both --xsub and --xpub; see zmqchat forwarder --help",
        ),
        (
            ["forwarder", "--insecure"],
            "--insecure goes with --xsub; in a file it is mesh.insecure; see zmqchat forwarder"
            " --help",
        ),
        (
            ["forwarder", "--xsub", "5559", "--xpub", ANY_PORT],
            "--xsub: expected tcp://host:port, got 5559",
        ),
        (
            ["forwarder", "--xsub", ANY_PORT, "--xpub", "tcp://0.0.0.0:5560"],
            "--xpub: 0.0.0.0:5560 is beyond loopback and frames are not encrypted; expected a"
            " loopback address, keys by --keys-file, or --insecure",
        ),
    ],
)
def test_wrong_usage_is_one_line(run: Run, args: list[str], line: str) -> None:
    """A command line that cannot work is answered by one line and exit code 2."""
    assert run(*args) == Answer(USAGE, "", [f"zmqchat: {line}"])


def test_each_mistake_of_the_file_is_a_line(run: Run) -> None:
    """A wrong configuration is answered by its mistakes, one a line, and exit code 2."""
    Path("nodes.yaml").write_text("mesh: {topology: star}\nnodes: [{name: n1, http: 8001}]\n")
    for command in (["config", "check"], ["config", "show"], ["node"], ["forwarder"], ["up"]):
        assert run(*command) == Answer(
            USAGE,
            "",
            [
                "zmqchat: mesh.topology: expected direct or forwarder, got star",
                "zmqchat: nodes[0].http: expected host:port, got 8001",
            ],
        )


def test_an_unknown_node(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not listed is answered with those that are, wherever it came from."""
    Path("nodes.yaml").write_text(TWO_NODES)
    unknown = ["zmqchat: no node is called n7; expected one of n1, n2"]
    assert run("node", "--name", "n7") == Answer(USAGE, "", unknown)
    assert run("node").err == ["zmqchat: which node? give its --name; expected one of n1, n2"]
    monkeypatch.setenv("ZMQCHAT_NODE", "n7")
    assert run("node") == Answer(USAGE, "", unknown)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--name", "n9", "--http", "8001"], "--http: expected host:port, got 8001"),
        (
            ["--name", "n1", "--http", "127.0.0.1:0"],
            "--http: the file lists n1 already, and says where it listens",
        ),
        (
            ["--name", "n9", "--http", "0.0.0.0:80"],
            "--url: missing; browsers cannot connect to 0.0.0.0:80",
        ),
        (
            ["--name", "n9", "--mesh", ANY_PORT],
            "--url and --mesh go with --http, for a node that is not listed; see zmqchat node"
            " --help",
        ),
        (
            ["--name", "n9", "--http", "0.0.0.0:80", "--url", "http://chat9.example.com"],
            "n9: 0.0.0.0:80 is beyond loopback, where auth.mode open would trust any name;"
            " listen on 127.0.0.1, or allow it with --insecure",
        ),
    ],
)
def test_a_node_that_cannot_join(run: Run, args: list[str], line: str) -> None:
    """A node that is not listed is held to the rules of the file, by the names of the options."""
    Path("nodes.yaml").write_text(TWO_NODES)
    assert run("node", *args) == Answer(USAGE, "", [f"zmqchat: {line}"])


def test_an_unknown_forwarder(run: Run) -> None:
    """A cluster without forwarders has none to run."""
    Path("nodes.yaml").write_text(NODES)
    assert run("forwarder") == Answer(
        USAGE,
        "",
        ["zmqchat: which forwarder? give its --name; expected one, and none is listed"],
    )


@pytest.mark.parametrize("command", ["node", "up"])
def test_open_mode_stays_on_this_machine(tmp_path: Path, command: str) -> None:
    """Where any name is trusted, nothing listens beyond loopback without being told to."""
    (tmp_path / "nodes.yaml").write_text(EXPOSED)
    with Process(tmp_path / "log", (*ZMQCHAT, command), cwd=tmp_path) as process:
        assert process.wait() == USAGE
        assert process.output.splitlines() == [
            "zmqchat: n1: 0.0.0.0:0 is beyond loopback, where auth.mode open would trust any name;"
            " listen on 127.0.0.1, or allow it with --insecure"
        ]


# -- config -------------------------------------------------------------------------------------


def test_config_check(run: Run) -> None:
    """A file that is right is answered by one line with its counts."""
    Path("nodes.yaml").write_text(TWO_NODES)
    ok = "OK: cluster zmqchat, 2 nodes, 0 forwarders, topology direct\n"
    assert run("config", "check") == Answer(FINE, ok, [])
    assert run("config", "check", "--config", "nodes.yaml") == Answer(FINE, ok, [])


def test_config_show(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in force is shown as YAML or JSON, the environment included."""
    Path("nodes.yaml").write_text(NODES)
    monkeypatch.setenv("ZMQCHAT_DATABASE", "sqlite:///other.db")
    shown = yaml.safe_load(run("config", "show").out)
    assert shown == json.loads(run("config", "show", "--json").out)
    assert shown["database"] == f"sqlite:///{tmp_path}/other.db"
    assert shown["support"] == {"account": "super_admin"}


def test_config_default(run: Run) -> None:
    """The printed defaults are a file that passes the check."""
    Path("nodes.yaml").write_text(run("config", "default").out)
    assert run("config", "check").code == FINE


def test_config_commands_load_no_network_library(tmp_path: Path) -> None:
    """A check of the file starts fast: it imports neither Tornado nor ZeroMQ nor peewee."""
    (tmp_path / "nodes.yaml").write_text(NODES)
    program = (
        "import sys; from zmqchat.cli import main\n"
        "slow = {'tornado', 'zmq', 'peewee', 'asyncio'}\n"
        "try: main(['config', 'check'])\n"
        "finally: print('loaded', sorted(slow & set(sys.modules)))"
    )
    argv = [sys.executable, "-c", program]
    with Process(tmp_path / "log", argv, cwd=tmp_path) as process:
        process.expect(r"loaded \[\]")
        assert process.wait() == FINE


# -- forwarder ----------------------------------------------------------------------------------

FORWARDER = (*ZMQCHAT, "forwarder", "--xsub", ANY_PORT, "--xpub", ANY_PORT)
READY = r"forwarder ready: xsub tcp://127\.0\.0\.1:(\d+) xpub tcp://127\.0\.0\.1:(\d+)"


@pytest.fixture
def forwarder(tmp_path: Path) -> Iterator[Process]:
    """Start a forwarder without a file."""
    with Process(tmp_path / "forwarder.log", FORWARDER) as process:
        process.expect(READY)
        yield process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_forwarder_stops_when_asked(forwarder: Process, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end a forwarder with exit code 0 and without a word."""
    forwarder.send(number)
    assert forwarder.wait() == FINE
    assert len(forwarder.output.splitlines()) == 1


@pytest.mark.parametrize("from_file", [False, True])
def test_a_port_in_use_is_one_line(forwarder: Process, tmp_path: Path, from_file: bool) -> None:
    """A second forwarder on the same ports, given or from a file, says so: exit code 1."""
    port, other = forwarder.expect(READY).groups()
    addresses = {"xsub": f"tcp://127.0.0.1:{port}", "xpub": f"tcp://127.0.0.1:{other}"}
    file = {"forwarders": [{"name": "f1", **addresses}], "nodes": [{"name": "n1", "http": "a:1"}]}
    (tmp_path / "nodes.yaml").write_text(yaml.safe_dump(file))
    flags = [] if from_file else ["--xsub", addresses["xsub"], "--xpub", addresses["xpub"]]
    with Process(tmp_path / "log", (*ZMQCHAT, "forwarder", *flags), cwd=tmp_path) as second:
        assert second.wait() == ERROR
        (line,) = second.output.splitlines()
        assert line.startswith("zmqchat: ")
        assert port in line


# -- node ---------------------------------------------------------------------------------------

NODE = (*ZMQCHAT, "node")
NODE_READY = r"n1 ready: http://127\.0\.0\.1:(\d+) mesh tcp://127\.0\.0\.1:\d+"


@pytest.mark.cluster
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_runs_until_it_is_asked_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    """The only node of the file in this folder needs no words; it ends with exit code 0."""
    (tmp_path / "nodes.yaml").write_text(NODES)
    with Process(tmp_path / "log", NODE, cwd=tmp_path) as node:
        node.expect(NODE_READY)
        node.send(number)
        assert node.wait() == FINE
        assert "Traceback" not in node.output
        node.expect(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    zmqchat\.node: n1 stops")
    assert (tmp_path / "zmqchat.db").exists()


@pytest.mark.cluster
def test_a_node_is_told_its_name_by_the_environment(tmp_path: Path) -> None:
    """ZMQCHAT_NODE picks the node where `--name` does not."""
    (tmp_path / "nodes.yaml").write_text(TWO_NODES)
    with Process(tmp_path / "log", NODE, cwd=tmp_path, env={"ZMQCHAT_NODE": "n2"}) as node:
        node.expect(r"n2 ready: .*")


@pytest.mark.cluster
def test_a_node_whose_port_is_in_use(tmp_path: Path) -> None:
    """A second node on the same port says so in one line, and ends with exit code 1."""
    (tmp_path / "nodes.yaml").write_text(NODES)
    with Process(tmp_path / "first.log", NODE, cwd=tmp_path) as first:
        port = first.expect(NODE_READY)[1]
        (tmp_path / "nodes.yaml").write_text(NODES.replace(":0", f":{port}"))
        with Process(tmp_path / "second.log", NODE, cwd=tmp_path) as second:
            assert second.wait() == ERROR
            (line,) = second.output.splitlines()
    assert line == f"zmqchat: n1: cannot listen on 127.0.0.1:{port}: Address already in use"


@pytest.mark.cluster
@pytest.mark.parametrize("database", ["no/such/folder/chat.db", "folder", "nodes.yaml"])
def test_a_database_that_cannot_be_used(tmp_path: Path, database: str) -> None:
    """A missing folder, a folder, a file that is no database: one line that names it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "nodes.yaml").write_text(NODES)
    environ = {"ZMQCHAT_DATABASE": f"sqlite:///{database}"}
    with Process(tmp_path / "log", NODE, cwd=tmp_path, env=environ) as node:
        assert node.wait() == ERROR
        (line,) = node.output.splitlines()
    assert line.startswith("zmqchat: ")
    assert str(tmp_path / database) in line


# -- database -----------------------------------------------------------------------------------


def test_a_database_is_made_and_looked_into(run: Run, tmp_path: Path) -> None:
    """`db status` changes nothing and exits with 1 until `db migrate` has run."""
    (tmp_path / "nodes.yaml").write_text(NODES)
    file = tmp_path / "zmqchat.db"
    assert run("db", "status") == Answer(ERROR, f"{file}: schema pending\n", [])
    assert not file.exists()
    migrated = run("db", "migrate")
    assert migrated.code == FINE
    assert migrated.out.startswith(f"{file}: ran 0001_chat, ")
    assert run("db", "migrate") == Answer(FINE, f"{file}: nothing to do\n", [])
    whole = f"{file}: schema current, 0 nodes, 0 conversations, 0 messages\n"
    assert run("db", "status") == Answer(FINE, whole, [])
    assert json.loads(run("db", "status", "--json").out) == {
        "database": str(file),
        "schema": "current",
        "rows": {"nodes": 0, "conversations": 0, "messages": 0},
    }


def test_a_database_of_a_newer_program_is_told(run: Run, tmp_path: Path) -> None:
    """Its status is no error of the command, but nothing to go on with; migrating is refused."""
    (tmp_path / "nodes.yaml").write_text(NODES)
    run("db", "migrate")
    with contextlib.closing(sqlite3.connect(tmp_path / "zmqchat.db")) as connection:
        connection.execute("INSERT INTO schema_migration VALUES (99, '9999_later', '2099-01-01')")
        connection.commit()
    assert run("db", "status") == Answer(ERROR, f"{tmp_path}/zmqchat.db: schema newer\n", [])
    refused = run("db", "migrate")
    assert refused.code == ERROR
    assert "a newer zmqchat has changed its tables (9999_later)" in refused.err[0]


def test_a_database_on_a_server_is_looked_into(
    run: Run, tmp_path: Path, mariadb: MariaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same commands, by the address; what cannot be read is one line and exit code 1."""
    url = mariadb.fresh()
    (tmp_path / "nodes.yaml").write_text(f"database: {url}\n{NODES}")
    assert run("db", "status") == Answer(ERROR, f"{url}: schema pending\n", [])
    assert run("db", "migrate").out.startswith(f"{url}: ran 0001_chat, ")
    whole = f"{url}: schema current, 0 nodes, 0 conversations, 0 messages\n"
    assert run("db", "status") == Answer(FINE, whole, [])
    monkeypatch.setenv("ZMQCHAT_DB_PASSWORD", "geheim")
    for command in ("status", "migrate"):
        answer = run("db", command)
        assert (answer.code, len(answer.err)) == (ERROR, 1)
        assert "Access denied" in answer.err[0]
        assert "geheim" not in answer.err[0]


@pytest.mark.parametrize("content", ["no database", None])
def test_a_file_that_cannot_be_looked_into(run: Run, tmp_path: Path, content: str | None) -> None:
    """A text and a folder are told in one line."""
    (tmp_path / "nodes.yaml").write_text(NODES)
    file = tmp_path / "zmqchat.db"
    file.mkdir() if content is None else file.write_text(content * 100)
    answer = run("db", "status")
    assert (answer.code, answer.out, len(answer.err)) == (ERROR, "", 1)
    assert str(file) in answer.err[0]
