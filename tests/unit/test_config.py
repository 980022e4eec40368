"""config.yaml: what it may hold, and what is said of what it may not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from dicom_node.config import (
    DEFAULT_FILE,
    ENVIRONMENT_VARIABLE,
    SOCKET_PATH_LIMIT,
    Config,
    config_path,
    describe,
    load_config,
)
from dicom_node.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[2]
PACS = "{name: PACS, ae_title: ARCHIVE, host: 10.0.0.4, port: 104}"
SECRET = "pa/ss@w:rd?"  # noqa: S105 - characters that mean something in a URL


def load(folder: Path, text: str) -> Config:
    file = folder / "config.yaml"
    file.write_text(text, "utf-8")
    return load_config(file)


# --- defaults ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "node: {}\n"])
def test_an_empty_file_is_the_defaults(tmp_path: Path, text: str) -> None:
    config = load(tmp_path, text)
    assert config == Config(data_directory=tmp_path / "var")
    assert config.database_url == f"sqlite:///{tmp_path}/var/node.db"
    assert config.broker_url == f"redis+socket://{tmp_path}/var/broker/valkey.sock"


def test_the_defaults_of_the_contract() -> None:
    config = Config()
    assert (config.node.ae_title, config.node.host) == ("BONEAGE", "0.0.0.0")  # noqa: S104
    assert (config.node.port, config.node.max_associations, config.node.listeners) == (11112, 25, 1)
    assert (config.database.url, config.broker.url) == ("sqlite", "embedded")
    assert (config.callers, config.destinations, config.routes) == ([], [], [])
    assert config.accept_unknown_callers is False
    assert config.data_directory == Path("var")
    assert config.inference.model_dump(exclude={"threads"}) == {
        "device": "auto",
        "weights": "default",
        "more_weights": [],
        "calibration": None,
        "views": 1,
        "workers": 1,
    }
    assert (config.worklist.host, config.worklist.port) == ("127.0.0.1", 8000)
    assert config.leases.lease_seconds <= 60


def test_the_shipped_file_says_the_defaults() -> None:
    text = (PROJECT / DEFAULT_FILE).read_text("utf-8")
    assert Config.model_validate(yaml.safe_load(text)) == Config()


def keys_of(model: type[BaseModel]) -> set[str]:
    found = set(model.model_fields)
    for field in model.model_fields.values():
        kind = field.annotation
        for part in (kind, *getattr(kind, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= keys_of(part)
    return found


def test_the_shipped_file_shows_every_key() -> None:
    text = (PROJECT / DEFAULT_FILE).read_text("utf-8")
    shown = set(re.findall(r"(\w+):", text))
    # The long patterns are left to the documentation, as the file says.
    assert keys_of(Config) - {"hand_pattern", "exclude_pattern", "order_pattern"} <= shown


def test_which_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    assert config_path(None) == Path("config.yaml")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "/etc/node.yaml")
    assert config_path(None) == Path("/etc/node.yaml")
    assert config_path(Path("given.yaml")) == Path("given.yaml")


# --- what is wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nod: {}", "nod: unknown key"),
        ("node: {ae_titel: X}", "node.ae_titel: unknown key"),
        ("destinations: [{name: A, tls: true}]", "destinations.0.tls: unknown key"),
        ("node: {port: '104'}", "node.port: Input should be a valid integer"),
        ("node: {port: true}", "node.port: Input should be a valid integer"),
        ("node: {port: 0}", "node.port: Input should be greater than or equal to 1"),
        ("node: {port: 65536}", "node.port: Input should be less than or equal to 65535"),
        ("node: {listeners: 0}", "node.listeners: Input should be greater"),
        ("node: {ae_title: NO}", "node.ae_title: Input should be a valid string"),
        ("node: {ae_title: 1234}", "node.ae_title: Input should be a valid string"),
        ("node: {ae_title: ''}", "node.ae_title: Value error, an AE title"),
        ("node: {ae_title: '    '}", "node.ae_title: Value error, an AE title"),
        ("node: {ae_title: SEVENTEENLETTERS_}", "node.ae_title: Value error, an AE title"),
        (r"node: {ae_title: 'A\B'}", "node.ae_title: Value error, an AE title"),
        ("node: {ae_title: KÖLN}", "node.ae_title: Value error, an AE title"),
        (r'node: {ae_title: "A\tB"}', "node.ae_title: Value error, an AE title"),
        ("node: {host: ''}", "node.host: String should have at least 1 character"),
        ("node: null", "node: Input should be"),
        ("callers: {ae_title: A}", "callers: Input should be a valid list"),
        ("callers: [CR1]", "callers.0: Input should be"),
        ("accept_unknown_callers: 'no'", "accept_unknown_callers: Input should be a valid boolean"),
        ("eligibility: {hand_pattern: '('}", "eligibility.hand_pattern: Value error, not a reg"),
        ("inference: {device: gpu}", "inference.device: String should match"),
        ("inference: {weights: gone.safetensors}", "inference.weights: no such file"),
        ("inference: {calibration: gone.json}", "inference.calibration: no such file"),
        ("inference: {calibration: 7}", "inference.calibration: Input should be a valid string"),
        ("leases: {lease_seconds: 61}", "leases.lease_seconds: Input should be less"),
        ("leases: {sweep_seconds: .inf}", "leases.sweep_seconds: Input should be a finite"),
        ("leases: {lease_seconds: .nan}", "leases.lease_seconds: Input should be a finite"),
        (f"destinations: [{PACS}, {PACS}]", "destinations: the name 'PACS' stands twice"),
        (f"destinations: [{PACS[:-1]}, retries: -1}}]", "destinations.0.retries: Input"),
        (
            f"destinations: [{PACS[:-1]}, retry_most_seconds: 1.0e+300}}]",
            "destinations.0.retry_most_seconds: Input should be less",
        ),
        ("history: {archive: {ae_title: A, host: h}}", "history.archive.port: Field required"),
        (
            "history: {archive: {ae_title: A, host: h, port: 104, timeout_seconds: 61}}",
            "history.archive.timeout_seconds: Input should be less",
        ),
        ("routes: [{name: a, destinations: [PACS]}]", "'a' names no destination of this file"),
        (
            "routes: [{name: a, match: {InstitutonName: x}, destinations: []}]",
            "routes.0.match.InstitutonName.[key]: Value error, not a DICOM keyword",
        ),
        (
            "routes: [{name: a, match: {InstitutionName: '['}, destinations: []}]",
            "routes.0.match.InstitutionName: Value error, not a regular expression",
        ),
        ("database: {url: nonsense}", "database.url: not a database URL"),
        ("database: {url: 'postgresql+psycopg://h:port/d'}", "database.url: not a database URL"),
        ("database: {url: 'mysql://h/d'}", "database.url: mysql is not supported"),
        ("database: {url: 'postgresql://h/d'}", "database.url: postgresql is not supported"),
        ("database: {url: 'sqlite://'}", "database.url: names no database"),
        ("database: {url: 'sqlite:///:memory:'}", "database.url: names no database"),
        ("broker: {url: 'amqp://h'}", "broker.url: neither"),
        ("broker: {url: 'redis://h:port/0'}", "broker.url: neither"),
        ("data_directory: config.yaml", "data_directory: not a folder that can be written to"),
        ("data_directory: config.yaml/var", "data_directory: not a folder that can be written to"),
        ("data_directory: 5", "data_directory: Input is not a valid path"),
        ("[]", "not a mapping of keys"),
        ("5", "not a mapping of keys"),
        ("false", "not a mapping of keys"),
        ("1: 2", "1: Keys should be strings"),
        ("node: [", "while parsing a flow node"),
        ("node: {host: 2024-13-45}", "month must be in 1..12"),
        ("callers: []\ncallers: [{ae_title: CR1}]", "the key 'callers' stands twice"),
        ("node: {port: 104, port: 105}", "the key 'port' stands twice"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        load(tmp_path, text)
    assert caught.value.exit_code == 2


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "nod: 1\nnode: {port: x}\n")
    assert len(str(caught.value).splitlines()) == 2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"# caf\xe9\n")
    for name in ("absent.yaml", ".", "latin.yaml"):
        with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
            load_config(tmp_path / name)


def test_anchors_and_merge_keys_are_no_repetition(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        f"destinations:\n- &p {PACS}\n- {{<<: *p, name: SECOND, port: 105}}\n",
    )
    assert [(d.name, d.port) for d in config.destinations] == [("PACS", 104), ("SECOND", 105)]


# --- paths and URLs ----------------------------------------------------------------------------


def test_the_webhook_of_the_docs_as_it_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """YAML 1.1 reads its key ``on`` as true."""
    monkeypatch.setenv("BONEAGE_WEBHOOK_SECRET", SECRET)
    words = (PROJECT / "docs" / "monitoring.md").read_text("utf-8")
    example = words.partition("```yaml\nwebhooks:")[2].partition("```")[0]
    (webhook,) = load(tmp_path, f"webhooks:{example}").webhooks
    assert webhook.on == ["failed", "undelivered", "destination_down"]


def test_relative_paths_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "w.safetensors").touch()
    (tmp_path / "site.json").touch()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etc" / "node.yaml").write_text(
        "data_directory: ../data\n"
        "database: {url: 'sqlite:///jobs.db'}\n"
        "inference: {weights: ../w.safetensors, calibration: ../site.json}\n"
    )
    config = load_config(Path("etc/node.yaml"))
    assert config.data_directory == tmp_path / "data"
    assert config.database_url == f"sqlite:///{tmp_path}/etc/jobs.db"
    assert config.inference.weights == str(tmp_path / "w.safetensors")
    assert config.inference.calibration == str(tmp_path / "site.json")
    assert not config.data_directory.exists()


def test_an_absolute_sqlite_path_stays(tmp_path: Path) -> None:
    config = load(tmp_path, f"database: {{url: 'sqlite:///{tmp_path}/a.db'}}")
    assert config.database_url == f"sqlite:///{tmp_path}/a.db"


def test_a_socket_path_that_is_too_long(tmp_path: Path) -> None:
    long = "d" * SOCKET_PATH_LIMIT
    with pytest.raises(ConfigError, match="data_directory: its path is too long"):
        load(tmp_path, f"data_directory: {long}")
    config = load(tmp_path, f"data_directory: {long}\nbroker: {{url: 'redis://h'}}")
    assert config.broker_url == "redis://h"


def test_an_unknown_destination(tmp_path: Path) -> None:
    config = load(tmp_path, f"destinations: [{PACS}]")
    assert config.destination("PACS").port == 104
    with pytest.raises(ConfigError, match="none is named 'ELSEWHERE'"):
        config.destination("ELSEWHERE")


# --- secrets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "database: {url: 'postgresql+psycopg://n@h/d', password_env: NODE_TEST_SECRET}",
        "broker: {url: 'redis://h:6379/0', password_env: NODE_TEST_SECRET}",
    ],
)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, value: str | None
) -> None:
    monkeypatch.delenv("NODE_TEST_SECRET", raising=False)
    if value is not None:
        monkeypatch.setenv("NODE_TEST_SECRET", value)
    with pytest.raises(ConfigError, match="password_env: the environment variable NODE_TEST_SECR"):
        load(tmp_path, text)


@pytest.fixture
def secretive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("NODE_TEST_SECRET", SECRET)
    return load(
        tmp_path,
        "database: {url: 'postgresql+psycopg://n@h/d', password_env: NODE_TEST_SECRET}\n"
        "broker: {url: 'redis://h:6379/0', password_env: NODE_TEST_SECRET}\n",
    )


def test_a_secret_reaches_the_clients_whole(secretive: Config) -> None:
    from redis.connection import parse_url
    from sqlalchemy import make_url

    assert make_url(secretive.database_url).password == SECRET
    broker = parse_url(secretive.broker_url)  # type: ignore[no-untyped-call]
    assert (broker["password"], broker["host"]) == (SECRET, "h")


def test_a_user_of_the_broker_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_TEST_SECRET", "s")
    text = "broker: {url: 'redis://node@h:1/0', password_env: NODE_TEST_SECRET}"
    assert load(tmp_path, text).broker_url == "redis://node:s@h:1/0"


def said_of(config: Config) -> tuple[dict[str, Any], str]:
    shown = describe(config)
    return shown, json.dumps(shown)


def test_secrets_are_not_shown(secretive: Config) -> None:
    shown, text = said_of(secretive)
    assert shown["database"]["url"] == "postgresql+psycopg://n:***@h/d"
    assert shown["broker"]["url"] == "redis://***@h:6379/0"
    assert "w:rd" not in text
    assert "NODE_TEST_SECRET" in text


@pytest.mark.parametrize(
    "text",
    [
        "database: {url: 'postgresql+psycopg://n:hunter2@h/d'}",
        "database: {url: 'postgresql+psycopg://n@h/d?password=hunter2'}",
        "broker: {url: 'redis://:hunter2@h/0'}",
    ],
)
def test_a_password_in_a_url_is_not_shown(tmp_path: Path, text: str) -> None:
    _, shown = said_of(load(tmp_path, text))
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "database: {url: 'postgresql+psycopg://n:hunter2@h:port/d'}",
        "broker: {url: 'redis://:hun/hunter2@h/0'}",
    ],
)
def test_a_url_that_is_wrong_is_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert "hunter2" not in str(caught.value)
