"""The commands: parse, call, turn errors into exit codes.

Exit codes: 0 fine, 1 an error, 2 usage or configuration. An error that an operator can mend is a
line on stderr for each thing that is wrong; a traceback means a mistake of ours. Each command
imports what it runs by itself, so that the others start fast.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import click
import msgspec

from zmqchat import __version__, config
from zmqchat.errors import ConfigError, ZmqchatError
from zmqchat.limits import raise_file_limit
from zmqchat.logs import log_to
from zmqchat.parent import die_with

FINE = 0
ERROR = 1
USAGE = 2
INTERRUPTED = 128 + signal.SIGINT  # Ctrl-C before a command took the signal over

DEFAULT_FILE = Path("nodes.yaml")

_Command = TypeVar("_Command", bound=Callable[..., object])


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run a command line, the process's own by default, and exit."""
    try:
        answer = commands.main(args, prog_name="zmqchat", standalone_mode=False)
        code = answer if isinstance(answer, int) else FINE
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = USAGE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "zmqchat"
        code = _complain(f"{_one_line(error.format_message())}; see {path} --help", USAGE)
    except click.ClickException as error:
        code = _complain(_one_line(error.format_message()), ERROR)
    except ConfigError as error:
        code = _complain(str(error), USAGE)
    except ZmqchatError as error:
        code = _complain(str(error), ERROR)
    except click.Abort:
        code = INTERRUPTED
    sys.exit(code)


def _complain(text: str, code: int) -> int:
    for line in text.splitlines():
        click.echo(f"zmqchat: {line}", err=True)
    return code


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _load(file: Path | None) -> config.Config:
    if file is None and not DEFAULT_FILE.exists():
        raise click.UsageError(
            f"no --config given, and no {DEFAULT_FILE} in this folder", click.get_current_context()
        )
    return config.load(file or DEFAULT_FILE)


def _config_option(command: _Command) -> _Command:
    return click.option(
        "--config",
        "file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"The cluster's file; {DEFAULT_FILE} in the current folder by default.",
    )(command)


def _parent_option(command: _Command) -> _Command:
    # The process that started this one and that it must not outlive; `zmqchat up` passes it.
    return click.option("--parent", type=int, hidden=True)(command)


@click.group()
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """Run a customer-service chat on a cluster of equal nodes, without a broker."""


# -- processes ----------------------------------------------------------------------------------


@commands.command()
@_config_option
@click.option(
    "--name",
    envvar=config.NODE_VARIABLE,
    show_envvar=True,
    help="Which node to be; not needed where only one is listed.",
)
@click.option("--http", metavar="ADDR", help="Join though not listed: listen on this host:port.")
@click.option("--url", help="With --http: what browsers use, if not http://ADDR.")
@click.option(
    "--mesh",
    metavar="ADDR",
    help="With --http: where other nodes reach this one in topology direct, as tcp://host:port.",
)
@click.option("--insecure", is_flag=True, help="In open mode, listen beyond loopback all the same.")
@_parent_option
def node(
    file: Path | None,
    name: str | None,
    http: str | None,
    url: str | None,
    mesh: str | None,
    insecure: bool,
    parent: int | None,
) -> None:
    """Run a node of the cluster until SIGTERM or Ctrl-C."""
    settings = _load(file)
    if http is not None:
        settings, chosen = config.join(settings, name, http=http, url=url, mesh=mesh)
    elif url is not None or mesh is not None:
        raise click.UsageError("--url and --mesh go with --http, for a node that is not listed")
    else:
        chosen = config.node_of(settings, name)
    die_with(parent)
    log_to()

    from zmqchat.node import run  # noqa: PLC0415 - only this command needs it

    run(settings, chosen, insecure=insecure)


@commands.command()
@_config_option
@click.option("--name", help="Which forwarder to be; not needed where only one is listed.")
@click.option("--xsub", metavar="ADDR", help="Without a file: where nodes publish to.")
@click.option("--xpub", metavar="ADDR", help="Without a file: where nodes subscribe.")
@click.option(
    "--keys-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Without a file: the keys of the mesh, one a line; or {config.KEYS_VARIABLE} has them.",
)
@click.option(
    "--insecure", is_flag=True, help="Without a file: allow ADDR beyond loopback without keys."
)
@_parent_option
def forwarder(
    file: Path | None,
    name: str | None,
    xsub: str | None,
    xpub: str | None,
    keys_file: Path | None,
    insecure: bool,
    parent: int | None,
) -> None:
    """Run a forwarder, which passes frames on between nodes, until SIGTERM or Ctrl-C."""
    if xsub is None and xpub is None:
        for given, option, key in (
            (insecure, "--insecure", "mesh.insecure"),
            (keys_file, "--keys-file", "mesh.keys_file"),
        ):
            if given:
                raise click.UsageError(f"{option} goes with --xsub; in a file it is {key}")
        settings = _load(file)
        chosen, keys = config.forwarder_of(settings, name), settings.mesh.keys
    elif xsub is None or xpub is None or file is not None:
        raise click.UsageError("expected either --config, or both --xsub and --xpub")
    else:
        mesh = config.Mesh(keys_file=None if keys_file is None else str(keys_file))
        keys = config.mesh_keys(mesh, Path(), file_option="--keys-file")
        chosen = config.Forwarder(
            name=name or "forwarder",
            xsub=config.check_endpoint("--xsub", xsub, keys=keys, insecure=insecure),
            xpub=config.check_endpoint("--xpub", xpub, keys=keys, insecure=insecure),
        )
    die_with(parent)
    log_to()
    _run_forwarder(chosen, keys)


def _run_forwarder(chosen: config.Forwarder, keys: Sequence[str]) -> None:
    from zmqchat.mesh.forwarder import Forwarder  # noqa: PLC0415 - only this command needs it
    from zmqchat.mesh.keys import Keys  # noqa: PLC0415

    raise_file_limit()
    running = Forwarder(chosen.xsub, chosen.xpub, Keys(keys))
    running.bind()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: running.stop())
    click.echo(f"{chosen.name} ready: xsub {running.xsub} xpub {running.xpub}")
    running.run()


@commands.command()
@_config_option
@click.option("--insecure", is_flag=True, help="In open mode, listen beyond loopback all the same.")
def up(file: Path | None, insecure: bool) -> int:
    """Run the whole cluster on this machine: all forwarders and nodes, restarted when they die."""
    settings = _load(file)
    for one in settings.nodes:
        config.check_open_mode(settings, one, insecure=insecure)

    from zmqchat.up import run, stages  # noqa: PLC0415 - only this command needs it

    return run(stages(settings, file or DEFAULT_FILE, insecure=insecure))


# -- keys of the mesh ---------------------------------------------------------------------------


@commands.command()
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Add the key at the end of this file, which mesh.keys_file names.",
)
def keygen(file: Path | None) -> None:
    """Make a key of the mesh, which all nodes and forwarders share, and write it."""
    key = config.new_key()
    if file is None:
        click.echo(key)
    else:
        config.append_key(file, key)
        click.echo(f"added a key to {file}; its fingerprint is {config.fingerprint(key)}")


# -- configuration ------------------------------------------------------------------------------


@commands.group("config")
def config_commands() -> None:
    """Look at the configuration."""


@config_commands.command("check")
@_config_option
def config_check(file: Path | None) -> None:
    """Tell whether the file is right, or each mistake in it."""
    settings = _load(file)
    click.echo(
        f"OK: cluster {settings.cluster}, {len(settings.nodes)} nodes,"
        f" {len(settings.forwarders)} forwarders, topology {settings.mesh.topology}"
    )


@config_commands.command("show")
@_config_option
@click.option("--json", "json", is_flag=True, help="Write JSON instead of YAML.")
def config_show(file: Path | None, json: bool) -> None:
    """Write what is in force: the file, the defaults and the environment."""
    settings = _load(file)
    click.echo(config.as_json(settings) if json else config.as_yaml(settings), nl=False)


@config_commands.command("default")
def config_default() -> None:
    """Write every key with its default and its meaning."""
    click.echo(config.default_yaml(), nl=False)


# -- database -----------------------------------------------------------------------------------


@commands.group("db")
def db_commands() -> None:
    """Look after the database."""


@db_commands.command("migrate")
@_config_option
def db_migrate(file: Path | None) -> None:
    """Bring the tables up to date, as every node does when it starts."""
    settings = _load(file)

    from zmqchat.store.dialect import dialect_of  # noqa: PLC0415 - only this command needs it
    from zmqchat.store.migrate import migrate  # noqa: PLC0415

    dialect = dialect_of(settings.database)
    done = migrate(dialect)
    what = f"ran {', '.join(done)}" if done else "nothing to do"
    click.echo(f"{dialect.where}: {what}")


@db_commands.command("status")
@_config_option
@click.option("--json", "json", is_flag=True, help="Write JSON.")
def db_status(file: Path | None, json: bool) -> int:
    """Tell where the database is, and whether its tables are up to date; exit code 1 if not."""
    settings = _load(file)

    from zmqchat.store.overview import look_into  # noqa: PLC0415 - only this command needs it

    overview = look_into(settings.database)
    if json:
        click.echo(msgspec.json.encode(overview))
    else:
        rows = "".join(f", {count:,} {name}" for name, count in overview.rows.items())
        click.echo(f"{overview.database}: schema {overview.schema.value}{rows}")
    return FINE if overview.is_current else ERROR
