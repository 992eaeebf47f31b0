"""The configuration: what loads, what is refused and in which words, what is documented."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.config import (
    Config,
    Node,
    as_json,
    as_yaml,
    check_endpoint,
    check_open_mode,
    default_yaml,
    forwarder_of,
    join,
    load,
    node_of,
    parse_address,
    secret_of,
)
from zmqchat.config.values import keys
from zmqchat.errors import ConfigError

ROOT = Path(__file__).parent.parent

GOOD: dict[str, Any] = {
    "auth": {},
    "support": {},
    "sessions": {},
    "allowed_origins": ["http://shop.example.com"],
    "mesh": {"topology": "forwarder"},
    "forwarders": [{"name": "f1", "xsub": "tcp://127.0.0.1:5559", "xpub": "tcp://127.0.0.1:5560"}],
    "nodes": [
        {"name": "n1", "http": "127.0.0.1:8001", "mesh": "tcp://127.0.0.1:7001"},
        {"name": "n2", "http": "127.0.0.1:8002", "mesh": "tcp://127.0.0.1:7002"},
    ],
}


def load_text(folder: Path, text: str, **environ: str) -> Config:
    """Load a file with this text, written into a folder."""
    file = folder / "nodes.yaml"
    file.write_text(textwrap.dedent(text))
    return load(file, environ)


def refusal(folder: Path, text: str, **environ: str) -> list[str]:
    """Load a text that is wrong, and return the lines that say so."""
    with pytest.raises(ConfigError) as caught:
        load_text(folder, text, **environ)
    return str(caught.value).splitlines()


def good_but(path: str, value: object) -> str:
    """Write the good configuration with one value replaced, as in ``nodes[1].http``."""
    changed = json.loads(json.dumps(GOOD))
    *way, last = [int(step) if step.isdigit() else step for step in re.findall(r"\w+", path)]
    part: Any = changed
    for step in way:
        part = part[step]
    part[last] = value
    return json.dumps(changed)  # JSON is YAML


def test_the_example_cluster_loads() -> None:
    """The file that ships with the project is right."""
    config = load(ROOT / "nodes.yaml", {})
    assert [node.name for node in config.nodes] == ["n1", "n2", "n3"]
    assert config.mesh.topology == "forwarder"


ADDRESS = "expected host:port"
ENDPOINT = "expected tcp://host:port"
LABEL = "expected 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit"
ACCOUNT = (
    "expected a name of 1 to 64 characters in Unicode normal form C, without control characters"
    " and outer spaces"
)
ORIGIN = (
    "expected http://host[:port] or https://host[:port], in lower case, without path and default"
    " port"
)
SERVER = "mysql://user@host[:port]/name[?option=value]"
DATABASE = f"expected sqlite:///path or {SERVER}"
REACHABLE = "expected an address that nodes can connect to"
EXPOSED = "is beyond loopback and frames are not encrypted; expected a loopback address"
UNLESS = "mesh.keys, or mesh.insecure: true"

# A path in the good configuration, a value to put there, and what is then said of that path.
REFUSED: list[tuple[str, object, str]] = [
    ("sessions.agent", "two", "expected many or one, got two"),
    ("nodes[1].http", 8001, f"{ADDRESS}, got 8001"),
    ("nodes[1].http", "127.0.0.1", f"{ADDRESS}, got 127.0.0.1"),
    ("nodes[1].http", "127.0.0.1:65536", f"{ADDRESS}, got 127.0.0.1:65536"),
    ("nodes[1].http", "127.0.0.300:80", f"{ADDRESS}, got 127.0.0.300:80"),
    ("nodes[1].http", "::1:80", f"{ADDRESS}, got ::1:80"),
    ("nodes[1].http", "a b:80", f"{ADDRESS}, got a b:80"),
    ("nodes[1].http", None, f"{ADDRESS}, got nothing"),
    ("nodes[1].http", "", f"{ADDRESS}, got ''"),
    ("nodes[1].http", "a:80\n", f"{ADDRESS}, got 'a:80\\n'"),
    ("nodes[1].http", ["a:80"], f"{ADDRESS}, got a list"),
    ("nodes[1].http", "localhost:8001", "127.0.0.1:8001 is nodes[0].http already"),
    ("nodes[1].http", "127.0.0.1:7002", "127.0.0.1:7002 is nodes[1].mesh already"),
    ("nodes[0].mesh", 7001, f"{ENDPOINT}, got 7001"),
    ("nodes[0].mesh", "udp://127.0.0.1:1", f"{ENDPOINT}, got udp://127.0.0.1:1"),
    ("nodes[0].mesh", "tcp://[::1]:7001", f"{ENDPOINT}, got tcp://[::1]:7001"),
    ("nodes[0].mesh", "tcp://10.0.0.1:7001", f"10.0.0.1:7001 {EXPOSED}, {UNLESS}"),
    ("nodes[0].mesh", "tcp://0.0.0.0:7001", f"{REACHABLE}, got 0.0.0.0:7001"),
    ("nodes[0].mesh", "tcp://127.0.0.1:40000", "expected a port below 32768, got 40000"),
    ("nodes[0].mesh", "tcp://127.0.0.1:5559", "127.0.0.1:5559 is forwarders[0].xsub already"),
    ("forwarders[0].xpub", "tcp://f.example:1", f"f.example:1 {EXPOSED}, {UNLESS}"),
    ("forwarders[0].xsub", "tcp://127.0.0.1:0", "expected a port that nodes can connect to, got 0"),
    ("forwarders", [], "expected at least one with mesh.topology forwarder, got none"),
    ("forwarders", None, "expected a list, got nothing"),
    ("nodes", [], "expected 1 to 1,023 nodes, got none"),
    ("nodes", {"n1": 1}, "expected a list, got a mapping"),
    ("nodes[0]", "n1", "expected the keys name, http, mesh, url, got n1"),
    ("nodes[1].name", "n1", "n1 is nodes[0].name already"),
    ("nodes[1].name", "f1", "f1 is forwarders[0].name already"),
    ("nodes[1].name", "n 1", f"{LABEL}, got n 1"),
    ("nodes[1].name", "n/1", f"{LABEL}, got n/1"),
    ("nodes[1].name", "n\x1b[31m", f"{LABEL}, got 'n\\x1b[31m'"),
    ("nodes[1].name", 7, f"{LABEL}, got 7; put it in quotes"),
    ("nodes[1].name", "n" * 65, f"{LABEL}, got {'n' * 65}"),
    ("cluster", "n" * 99, f"{LABEL}, got {'n' * 80}…"),
    ("nodes[0].htp", "a:80", "unknown key; did you mean http?"),
    ("nodes[0].2", 3, "unknown key; expected one of name, http, mesh, url"),
    ("mash", "direct", "unknown key; did you mean mesh?"),
    ("mesh.topology", "star", "expected direct or forwarder, got star"),
    ("mesh.insecure", "yes", "expected true or false, got yes"),
    ("mesh.insecure", 1, "expected true or false, got 1"),
    ("mesh", "direct", "expected the keys topology, insecure, keys, keys_file, got direct"),
    ("auth.mode", "closed", "expected open, got closed"),
    ("support.account", " desk", f"{ACCOUNT}, got ' desk'"),
    ("support.account", "e\u0301", f"{ACCOUNT}, got e\u0301"),
    ("support.account", True, f"{ACCOUNT}, got true; put it in quotes"),
    ("nodes[0].url", "chat.example.com", f"{ORIGIN}, got chat.example.com"),
    ("nodes[0].url", "https://a.example/", f"{ORIGIN}, got https://a.example/"),
    ("nodes[0].url", "https://a.example:443", f"{ORIGIN}, got https://a.example:443"),
    ("nodes[0].url", "https://A.example", f"{ORIGIN}, got https://A.example"),
    ("nodes[0].url", "https://a.example:0", f"{ORIGIN}, got https://a.example:0"),
    ("allowed_origins", "http://a", "expected a list, got http://a"),
    ("allowed_origins[0]", "null", f"{ORIGIN}, got null"),
    ("allowed_origins[0]", "*", f"{ORIGIN}, got *"),
    ("database", "postgres://me:secret@db/chat", f"{DATABASE}, got postgres://***@db/chat"),
    (
        "database",
        "mysql://me:secret@db/chat",
        "the password belongs into ZMQCHAT_DB_PASSWORD, not into the address",
    ),
    ("database", "mysql://me:sec/ret@db/chat", f"expected {SERVER}; host or port is none"),
    ("database", "mysql://db/chat", f"expected {SERVER}; user, host or name is missing or wrong"),
    ("database", "mysql://me@db", f"expected {SERVER}; user, host or name is missing or wrong"),
    ("database", "mysql:chat", f"expected {SERVER}; user, host or name is missing or wrong"),
    ("database", "mysql://me@db/c\n", f"expected {SERVER}, without control characters"),
    (
        "database",
        "mysql://me@db/chat?tls=1",
        "unknown option tls; expected one of socket, ssl_ca, ssl_cert, ssl_key,"
        " ssl_verify_identity",
    ),
    ("database", "mysql://me@db/chat?ssl_ca=ca", "ssl_ca: expected an absolute path, got ca"),
    ("database", "mysql://me@db/chat?ssl_ca=", "ssl_ca: expected an absolute path, got nothing"),
    (
        "database",
        "mysql://me@db/chat?ssl_cert=/c&ssl_key=/k",
        "ssl_ca is missing: without it the server is not known by a certificate",
    ),
    ("database", "mysql://me@db/chat?ssl_key=/k", "ssl_cert and ssl_key go together"),
    (
        "database",
        "mysql://me@db/chat?ssl_ca=/c&ssl_verify_identity=no",
        "ssl_verify_identity: expected true or false, got no",
    ),
    ("database", "sqlite:///", f"{DATABASE}, got sqlite:///"),
    ("database", "sqlite:///:memory:", f"{DATABASE}, got sqlite:///:memory:"),
    ("database", "sqlite:///a.db?timeout=1", f"{DATABASE}, got sqlite:///a.db?timeout=1"),
]


@pytest.mark.parametrize(("path", "value", "mistake"), REFUSED)
def test_a_mistake_is_one_line_with_its_path(
    tmp_path: Path, path: str, value: object, mistake: str
) -> None:
    """Each wrong value is named by its path, with what was expected and what was found."""
    assert refusal(tmp_path, good_but(path, value)) == [f"{path}: {mistake}"]


@pytest.mark.parametrize("http", ["0.0.0.0:8001", "[::]:8001"])
def test_a_wildcard_needs_a_url(tmp_path: Path, http: str) -> None:
    """No browser can connect to all addresses of a machine."""
    assert refusal(tmp_path, good_but("nodes[0].http", http)) == [
        f"nodes[0].url: missing; browsers cannot connect to {http}"
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("nodes[0].url", "https://chat.example.com:8443"),
        ("nodes[0].url", "http://[2001:db8::1]"),
        ("nodes[0].http", "[::1]:8001"),
        ("nodes[0].http", "chat.example.com:8001"),
        ("nodes[0].http", "127.0.0.1:0"),
        ("nodes[0].mesh", "tcp://localhost:0"),
        ("allowed_origins", ["https://shop.example.com"]),
        ("support.account", "客服"),
        ("database", "sqlite:///data/chat room.db"),
    ],
)
def test_what_is_allowed(tmp_path: Path, path: str, value: object) -> None:
    """The forms are no narrower than their words say."""
    load_text(tmp_path, good_but(path, value))


def test_two_nodes_may_take_any_port(tmp_path: Path) -> None:
    """Port 0 stands for a free port, so it may stand often."""
    load_text(
        tmp_path,
        """
        nodes:
          - {name: n1, http: "127.0.0.1:0"}
          - {name: n2, http: "127.0.0.1:0"}
        """,
    )


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """An operator mends a file in one go."""
    assert refusal(
        tmp_path,
        """
        clusterr: x
        mesh: {topology: star}
        nodes:
          - {name: n1}
          - {htp: "127.0.0.1:1", name: n2}
          - {http: "127.0.0.1:1"}
        """,
    ) == [
        "clusterr: unknown key; did you mean cluster?",
        "mesh.topology: expected direct or forwarder, got star",
        "nodes[0].http: missing; expected host:port",
        "nodes[1].htp: unknown key; did you mean http?",
        f"nodes[2].name: missing; {LABEL}",
    ]


def test_no_more_nodes_than_message_ids_can_tell(tmp_path: Path) -> None:
    """The 1,024th node is refused."""
    nodes = [{"name": f"n{i}", "http": "127.0.0.1:0"} for i in range(1024)]
    assert refusal(tmp_path, json.dumps({"nodes": nodes})) == [
        "nodes: expected 1 to 1,023 nodes, got 1024"
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "is empty; expected at least the key nodes"),
        ("# nothing\n", "is empty; expected at least the key nodes"),
        ("- a\n", "expected keys such as nodes, got a list"),
        ("nodes: [\n", "line 2, column 1: while parsing a flow node, expected the node content"),
        ("a: 1\nb: x: y\n", "line 2, column 5: mapping values are not allowed here"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "line 4, column 3: the key c stands twice, first in line 3"),
        ("a: 1\n'a': 2\n", "line 2, column 1: the key a stands twice, first in line 1"),
        ("{a: 1, a: 2}\n", "line 1, column 8: the key a stands twice, first in line 1"),
        ("? [a]\n: 1\n", "line 1, column 3: while constructing a mapping, found unhashable key"),
        ("a: !!python/object:os.system x", "line 1, column 4: could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: expected a single document"),
        ("a: *b\n", "line 1, column 4: found undefined alias"),
        ("a: \x00", "not YAML: "),
        ("a: 2024-13-32\n", "not YAML: month must be in 1..12"),
    ],
)
def test_what_is_no_yaml_is_told_by_line_and_column(
    tmp_path: Path, text: str, mistake: str
) -> None:
    """A file that cannot be read as keys is refused in one line with the place."""
    (line,) = refusal(tmp_path, text)
    assert line.startswith(f"{tmp_path}/nodes.yaml: ")
    assert mistake in line


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """A missing file and a folder are told apart."""
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file or directory"):
        load(tmp_path / "none.yaml", {})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused in one line."""
    file = tmp_path / "nodes.yaml"
    file.write_bytes(b"cluster: \xff\xfe\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert len(str(caught.value).splitlines()) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(sorted(keys(Config))) | st.text(), inner, max_size=6)
        ),
        max_leaves=20,
    )
)
def test_any_content_loads_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, content: object
) -> None:
    """Whatever the file holds, nothing but `ConfigError` with single lines comes out."""
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(content))
    mistakes = []
    try:
        load(file, {})
    except ConfigError as error:
        mistakes = str(error).split("\n")
    assert all(line and line.isprintable() for line in mistakes)


# -- what is in force ---------------------------------------------------------------------------


def test_a_relative_database_lies_beside_the_file(tmp_path: Path) -> None:
    """The working directory does not decide which database a node uses."""
    assert (
        load_text(tmp_path, good_but("cluster", "x")).database == f"sqlite:///{tmp_path}/zmqchat.db"
    )
    absolute = good_but("database", "sqlite:////var/chat.db")
    assert load_text(tmp_path, absolute).database == "sqlite:////var/chat.db"


def test_a_folder_that_an_address_cannot_carry(tmp_path: Path) -> None:
    """A ? or # in the path would cut the address; it is refused instead of another file made."""
    folder = tmp_path / "a#b"
    folder.mkdir()
    (line,) = refusal(folder, good_but("cluster", "x"))
    assert line == f"database: expected a path without ? and #, got sqlite:///{folder}/zmqchat.db"


def test_the_environment_overrides_the_database(tmp_path: Path) -> None:
    """ZMQCHAT_DATABASE wins over the file, and is checked in the same way."""
    text = good_but("database", "sqlite:///file.db")
    config = load_text(tmp_path, text, ZMQCHAT_DATABASE="sqlite:///other.db")
    assert config.database == f"sqlite:///{tmp_path}/other.db"
    assert refusal(tmp_path, text, ZMQCHAT_DATABASE="oracle:x") == [
        f"ZMQCHAT_DATABASE: {DATABASE}, got oracle:x"
    ]
    for url in ("mysql://me@db:3307/chat?ssl_ca=/etc/ca.pem", "mariadb://me@db/chat"):
        assert load_text(tmp_path, text, ZMQCHAT_DATABASE=url).database == url


def _joined(folder: Path, **options: str | None) -> tuple[Config, Node]:
    """Join the good configuration."""
    settings = load_text(folder, json.dumps(GOOD))
    return join(settings, **{"name": "n9", "http": "127.0.0.1:8009", **options})  # type: ignore[arg-type]


def test_a_node_that_is_not_listed(tmp_path: Path) -> None:
    """It stands behind those that are, with the defaults they have."""
    settings, node = _joined(tmp_path)
    assert [one.name for one in settings.nodes] == ["n1", "n2", "n9"]
    assert node == settings.nodes[-1] == Node(name="n9", http="127.0.0.1:8009")
    _, node = _joined(tmp_path, http="0.0.0.0:80", url="https://c9", mesh="tcp://127.0.0.1:7009")
    assert (node.url_on(80), node.mesh) == ("https://c9", "tcp://127.0.0.1:7009")


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({"name": None}, [f"--name: missing; {LABEL}"]),
        ({"name": "n/9"}, [f"--name: {LABEL}, got n/9"]),
        ({"name": "f1"}, ["--name: f1 is forwarders[0].name already"]),
        ({"name": "n2"}, ["--http: the file lists n2 already, and says where it listens"]),
        ({"http": ""}, [f"--http: {ADDRESS}, got ''"]),
        ({"http": "127.0.0.1:8002"}, ["--http: 127.0.0.1:8002 is nodes[1].http already"]),
        ({"http": "[::]:80"}, ["--url: missing; browsers cannot connect to [::]:80"]),
        ({"url": "http://c9/"}, [f"--url: {ORIGIN}, got http://c9/"]),
        ({"mesh": "7009"}, [f"--mesh: {ENDPOINT}, got 7009"]),
        ({"mesh": "tcp://127.0.0.1:8001"}, ["--mesh: 127.0.0.1:8001 is nodes[0].http already"]),
        ({"mesh": "tcp://10.0.0.1:7009"}, [f"--mesh: 10.0.0.1:7009 {EXPOSED}, {UNLESS}"]),
        (
            {"http": "8009", "url": "c9"},
            [f"--http: {ADDRESS}, got 8009", f"--url: {ORIGIN}, got c9"],
        ),
    ],
)
def test_a_node_that_cannot_join(
    tmp_path: Path, options: dict[str, str | None], lines: list[str]
) -> None:
    """What is wrong is told by the names of the options, each mistake in a line."""
    with pytest.raises(ConfigError) as caught:
        _joined(tmp_path, **options)
    assert str(caught.value).splitlines() == lines


def test_picking_a_node() -> None:
    """The only node needs no name; an unknown name is answered with those there are."""
    one, two = Node(name="n1", http="127.0.0.1:1"), Node(name="n2", http="127.0.0.1:2")
    assert node_of(Config(nodes=[one])) is one
    assert node_of(Config(nodes=[one, two]), "n2") is two
    with pytest.raises(ConfigError, match="no node is called n3; expected one of n1, n2"):
        node_of(Config(nodes=[one, two]), "n3")
    with pytest.raises(ConfigError, match=r"which node.* --name; expected one of n1, n2"):
        node_of(Config(nodes=[one, two]))
    with pytest.raises(ConfigError, match=r"which forwarder.* expected one, and none is listed"):
        forwarder_of(Config(nodes=[one]))


@pytest.mark.parametrize(
    ("http", "url", "effective", "loopback"),
    [
        ("127.0.0.1:8001", None, "http://127.0.0.1:8001", True),
        ("localhost:8001", None, "http://localhost:8001", True),
        ("[::1]:8001", None, "http://[::1]:8001", True),
        ("192.0.2.1:80", None, "http://192.0.2.1:80", False),
        ("0.0.0.0:80", "https://chat.example.com", "https://chat.example.com", False),
    ],
)
def test_where_a_node_is_found(http: str, url: str | None, effective: str, loopback: bool) -> None:
    """A node's url is what browsers use, whatever it listens on."""
    node = Node(name="n1", http=http, url=url)
    address = node.http_address
    assert node.url_on(address.port) == effective
    assert node.is_loopback is loopback
    assert f"{node.http_address.host}:{node.http_address.port}" == http.replace("[", "").replace(
        "]", ""
    )


def test_the_port_that_was_really_bound() -> None:
    """With port 0 the url carries the port that the system gave, unless one is configured."""
    assert Node(name="n1", http="127.0.0.1:0").url_on(4711) == "http://127.0.0.1:4711"
    assert Node(name="n1", http="127.0.0.1:0", url="http://a").url_on(4711) == "http://a"


def test_open_mode_stays_on_this_machine() -> None:
    """A node that trusts any name listens beyond loopback only when it was told to."""
    config = Config(nodes=[Node(name="n1", http="192.0.2.1:8001")])
    with pytest.raises(ConfigError, match=r"n1: 192\.0\.2\.1:8001 is beyond loopback.*--insecure"):
        check_open_mode(config, config.nodes[0], insecure=False)
    check_open_mode(config, config.nodes[0], insecure=True)
    check_open_mode(config, Node(name="n2", http="127.0.0.1:8001"), insecure=False)


def test_an_endpoint_of_the_command_line() -> None:
    """An endpoint given without a file obeys the same rules, but may be a wildcard to bind."""
    assert check_endpoint("--xsub", "tcp://127.0.0.1:0", insecure=False) == "tcp://127.0.0.1:0"
    assert check_endpoint("--xsub", "tcp://0.0.0.0:1", insecure=True) == "tcp://0.0.0.0:1"
    for text, mistake in {
        "5559": "--xsub: expected tcp://host:port, got 5559",
        "tcp://127.0.0.1:50000": "--xsub: expected a port below 32768, got 50000",
        "tcp://0.0.0.0:1": f"--xsub: 0.0.0.0:1 {EXPOSED}, keys by --keys-file, or --insecure",
    }.items():
        with pytest.raises(ConfigError) as caught:
            check_endpoint("--xsub", text, insecure=False)
        assert str(caught.value) == mistake


@given(st.text(max_size=30))
def test_an_address_reads_back_as_it_was_written(text: str) -> None:
    """Any text is an address or is not; what is one says the same when written again."""
    address = parse_address(text)
    if address is not None:
        assert parse_address(str(address)) == address


# -- documentation ------------------------------------------------------------------------------


def all_keys(section: type[msgspec.Struct] = Config, path: str = "") -> list[tuple[str, str]]:
    """List every key of the configuration as its path and its meaning."""
    found = []
    for name, key in keys(section).items():
        found.append((path + name, key.meaning.text if key.meaning else ""))
        below = key.item or key
        if below.is_section:
            found += all_keys(below.kind, f"{path}{name}.")
    return found


def test_every_key_is_documented() -> None:
    """Each key has a sentence, and all of it stands in what `config default` prints."""
    words = " ".join(default_yaml().replace("#", " ").split())
    for path, meaning in all_keys():
        assert meaning.endswith("."), path
        assert meaning in words, path
        assert f"{path.rpartition('.')[2]}:" in words, path


def test_the_printed_defaults_are_the_defaults(tmp_path: Path) -> None:
    """The commented file loads back, and changes nothing but the example nodes."""
    loaded = load_text(tmp_path, default_yaml())
    expected = Config(nodes=loaded.nodes, database=f"sqlite:///{tmp_path}/zmqchat.db")
    assert loaded == expected
    assert loaded.nodes == [Node(name="n1", http="127.0.0.1:8001")]


def test_the_printed_example_of_a_forwarder_loads(tmp_path: Path) -> None:
    """Taking the # away from the example gives a forwarder."""
    before, _, after = default_yaml().partition("forwarders: []\n")
    example, _, rest = after.partition("\n\n")
    example = "\n".join(line.removeprefix("# ") for line in example.splitlines())
    text = f"{before}forwarders:\n{example}\n\n{rest}"
    assert [one.name for one in load_text(tmp_path, text).forwarders] == ["f1"]


def test_what_is_shown_loads_back(tmp_path: Path) -> None:
    """`config show` writes a file that means the same, as YAML and as JSON."""
    config = load_text(tmp_path, good_but("support.account", "客服"))
    assert load_text(tmp_path, as_yaml(config)) == config
    assert load_text(tmp_path, as_json(config)) == config


def test_the_secret_comes_from_the_environment_alone() -> None:
    """None without one; too short a one is refused by its length, and not shown."""
    assert secret_of({}) is None
    assert secret_of({"ZMQCHAT_SECRET": "s" * 32}) == b"s" * 32
    with pytest.raises(ConfigError) as caught:
        secret_of({"ZMQCHAT_SECRET": "hidden"})
    assert str(caught.value) == "ZMQCHAT_SECRET: expected at least 32 bytes, got 6"


def test_sessions_by_role(tmp_path: Path) -> None:
    """Customers may have many, agents one, unless the file says otherwise."""
    nodes = "nodes: [{name: n1, http: 127.0.0.1:8001}]"
    sessions = load_text(tmp_path, nodes).sessions
    assert (sessions.customer, sessions.agent) == ("many", "one")
    sessions = load_text(tmp_path, f"{nodes}\nsessions: {{customer: one, agent: many}}").sessions
    assert (sessions.customer, sessions.agent) == ("one", "many")
