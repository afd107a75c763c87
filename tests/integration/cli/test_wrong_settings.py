"""Every setting that is wrong is one line that names it and gives the reason, in every command that reads it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from app.settings import Settings, get_settings
from cli.failures import report_failures
from cli.processes import migrate_database
from tests.integration.cli.running import assert_one_line, lethe
from tests.ports import free_port
from tests.postgres_server import PostgresServer

# What starts without torch: quick enough to be asked about every setting.
COMMANDS = {
    "migrate": ["migrate"],
    "gateway": ["gateway"],
    "worker": ["worker"],
    "keys": ["keys", "list"],
    "audit": ["audit", "verify"],
    "consolidate": ["consolidate"],
}
SLOW_COMMANDS = {"init": ["init", "--no-levels"], "levels": ["levels"]}


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | {"LETHE_PORT": str(free_port())}


@pytest.mark.parametrize("command", [*COMMANDS, *SLOW_COMMANDS, "up"])
def test_every_command_names_a_wrong_setting(
    environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    arguments = {**COMMANDS, **SLOW_COMMANDS, "up": ["up", "--state", str(tmp_path / "state")]}[command]
    environment["LETHE_BROKER_URL"] = "kafka://localhost"
    assert_one_line(lethe(*arguments, **environment), "LETHE_BROKER_URL", "kafka:// is not supported")


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("BROKER_URL", "", "at least 1 character"),
        ("BROKER_URL", "hush@somewhere", "not an address"),
        ("BROKER_URL", "redis://:hush@localhost:port/0", "port is not a number"),
        ("BROKER_URL", "amqp://u:hush@localhost:99999", "port is not a number"),
        ("BROKER_URL", "redis://[::1/0", "host cannot be read"),
        ("BROKER_URL", "redis://:hush@localhost/first", "database of Redis is a number"),
        ("BROKER_URL", "filesystem://", "names no folder"),
        ("DATABASE_URL", "", "at least 1 character"),
        ("DATABASE_URL", "hush", "not the address of a database"),
        ("DATABASE_URL", "mysql://root:hush@localhost/x", "mysql:// is not supported"),
        ("DATABASE_URL", "postgresql+asyncpg://u:hush@localhost/x", "postgresql+asyncpg:// is not supported"),
        ("DATABASE_URL", "postgresql://u:hush@localhost:port/x", "not the address of a database"),
        ("DATABASE_URL", "sqlite://", "name a file"),
        ("DATABASE_URL", "postgresql://u:hush@nowhere.invalid/x", "nowhere.invalid"),
        ("DATABASE_URL", "postgresql://u:hush@127.0.0.1:99999/x", "invalid port number"),
        ("DATABASE_URL", "postgresql://u:hush@127.0.0.1/x?nonsense=1", 'invalid connection option "nonsense"'),
        ("DATABASE_URL", "sqlite:////dev/null/below/lethe.sqlite3", "Not a directory"),
        ("DEVICE", "gpu", "'gpu' is no device"),
        ("WORKER_DEVICE", "cuda:one", "'cuda:one' is no device"),
        ("PORT", "http", "valid integer"),
        ("PORT", "70000", "65535"),
        ("HOST", "", "at least 1 character"),
        ("BASE", "", "at least 1 character"),
        ("STORE_URL", "", "at least 1 character"),
        ("LEASE_SECONDS", "1e300", "less than or equal"),
        ("LEASE_SECONDS", "nan", "finite"),
        ("SWEEP_SECONDS", "-1", "greater than 0"),
        ("TORCH_THREADS", "0", "greater than or equal"),
        ("ENVIRONMENT", "staging", "production"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    value: str,
    said: str,
) -> None:
    for name, usual in {**environment, f"LETHE_{setting}": value}.items():
        monkeypatch.setenv(name, usual)
    get_settings.cache_clear()
    try:
        with pytest.raises(SystemExit, match="2"), report_failures():
            migrate_database()
    finally:
        get_settings.cache_clear()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"lethe: LETHE_{setting}: ")
    assert said in line
    assert "hush" not in line


@pytest.mark.skipif(find_spec("uvloop") is not None, reason="uvloop is installed")
def test_an_event_loop_that_is_not_installed_is_named(environment: dict[str, str]) -> None:
    done = lethe("gateway", **environment, LETHE_EVENT_LOOP="uvloop")
    assert_one_line(done, "LETHE_EVENT_LOOP", "pip install uvloop")


def test_a_file_with_settings_that_is_no_text_is_named(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_bytes(b"LETHE_BASE=\xff\xfe")
    repository = Path(__file__).parents[3]
    monkeypatch.chdir(tmp_path)
    assert_one_line(lethe("migrate", **environment, PYTHONPATH=str(repository)), ".env", "UTF-8")


@pytest.mark.parametrize("command", ["migrate", "worker", "keys"])
def test_a_file_that_is_no_database_is_named(
    environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    (tmp_path / "lethe.sqlite3").write_text(
        "a letter to the editor, longer than the header of a database\n" * 20
    )
    assert_one_line(lethe(*COMMANDS[command], **environment), "LETHE_DATABASE_URL", "file is not a database")


@pytest.mark.parametrize("command", ["gateway", "worker", "keys", "audit"])
def test_missing_tables_are_named(environment: dict[str, str], tmp_path: Path, command: str) -> None:
    assert_one_line(lethe(*COMMANDS[command], **environment), "LETHE_DATABASE_URL", "Run: lethe migrate")
    assert lethe("migrate", **environment).returncode == 0
    with sqlite3.connect(tmp_path / "lethe.sqlite3") as connection:
        connection.execute("DROP TABLE api_keys")
    connection.close()
    assert_one_line(lethe(*COMMANDS[command], **environment), "LETHE_DATABASE_URL", "no such table: api_keys")


@pytest.mark.parametrize("command", ["migrate", "gateway", "audit"])
def test_a_database_of_a_later_release_is_named(
    environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    assert lethe("migrate", **environment).returncode == 0
    with sqlite3.connect(tmp_path / "lethe.sqlite3") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffff'")
    connection.close()
    assert_one_line(
        lethe(*COMMANDS[command], **environment), "LETHE_DATABASE_URL", "does not know", "Upgrade"
    )


@pytest.mark.parametrize("command", ["gateway", "worker", "migrate"])
def test_a_database_that_can_only_be_read_is_named(
    environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    if command != "migrate":
        assert lethe("migrate", **environment).returncode == 0
    else:
        sqlite3.connect(tmp_path / "lethe.sqlite3").close()
    environment["LETHE_DATABASE_URL"] = f"sqlite:///file:{tmp_path}/lethe.sqlite3?mode=ro&uri=true"
    assert_one_line(lethe(*COMMANDS[command], **environment), "LETHE_DATABASE_URL", "readonly database")


def test_a_database_that_somebody_else_has_locked_is_named(
    environment: dict[str, str], tmp_path: Path
) -> None:
    assert lethe("migrate", **environment).returncode == 0
    connection = sqlite3.connect(tmp_path / "lethe.sqlite3", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        assert_one_line(lethe("consolidate", **environment), "LETHE_DATABASE_URL", "database is locked")
    finally:
        connection.close()


@pytest.fixture
def migrated(postgres: PostgresServer, migrated_template: str, environment: dict[str, str]) -> Iterator[str]:
    """A migrated PostgreSQL database, to which `environment` points."""
    url = postgres.create(make_url(migrated_template).database)
    environment["LETHE_DATABASE_URL"] = url
    yield url
    postgres.drop(url)


@pytest.fixture
def stranger(migrated: str) -> Iterator[str]:
    """The address of that database for a role that may do nothing in it."""
    name = f"stranger_{make_url(migrated).database}"[:60]
    with psycopg.connect(migrated, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'hush'")  # type: ignore[call-overload]
    yield make_url(migrated).set(username=name, password="hush").render_as_string(hide_password=False)
    with psycopg.connect(migrated, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")  # type: ignore[call-overload]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_role_without_rights_is_named(environment: dict[str, str], stranger: str, command: str) -> None:
    environment["LETHE_DATABASE_URL"] = stranger
    done = lethe(*COMMANDS[command], **environment)
    assert_one_line(done, "LETHE_DATABASE_URL", "permission denied")
    assert "hush" not in done.stderr
    assert "SELECT" not in done.stderr


@pytest.mark.parametrize("command", ["migrate", "gateway", "keys"])
def test_a_wrong_role_and_a_wrong_database_are_named(
    environment: dict[str, str], migrated: str, command: str
) -> None:
    url = make_url(migrated)
    for changed, said in (
        ({"username": "nobody-at-all"}, 'role "nobody-at-all"'),
        ({"database": "nothing"}, "nothing"),
    ):
        environment["LETHE_DATABASE_URL"] = url.set(**changed).render_as_string(hide_password=False)
        assert_one_line(lethe(*COMMANDS[command], **environment), "LETHE_DATABASE_URL", said)


@pytest.mark.parametrize("command", ["gateway", "worker"])
def test_postgresql_that_can_only_be_read_is_named(
    environment: dict[str, str], migrated: str, command: str
) -> None:
    with psycopg.connect(migrated, autocommit=True) as connection:
        name = make_url(migrated).database
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')  # type: ignore[call-overload]
    assert_one_line(lethe(*COMMANDS[command], **environment), "LETHE_DATABASE_URL", "read-only transaction")


def test_a_table_that_somebody_else_has_locked_is_named(environment: dict[str, str], migrated: str) -> None:
    with psycopg.connect(migrated) as connection:
        connection.execute("LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")
        assert_one_line(lethe("keys", "list", **environment), "LETHE_DATABASE_URL", "lock timeout")


@pytest.mark.parametrize("command", ["gateway", "worker", "init", "levels"])
@pytest.mark.usefixtures("installed_here")
def test_a_device_that_is_not_there_is_named(environment: dict[str, str], command: str) -> None:
    environment |= {"LETHE_DEVICE": "cuda:99", "LETHE_WORKER_DEVICE": "cuda:99"}
    setting = "LETHE_DEVICE" if command == "gateway" else "LETHE_WORKER_DEVICE"
    done = lethe(*{**COMMANDS, **SLOW_COMMANDS}[command], **environment)
    assert_one_line(done, f"{setting}: no device 'cuda:99' here")


@pytest.mark.parametrize("command", ["worker", "init"])
@pytest.mark.usefixtures("installed_here")
def test_a_policy_that_is_not_there_is_named(
    environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    environment["LETHE_POLICY_FILE"] = str(tmp_path / "absent.json")
    done = lethe(*{**COMMANDS, **SLOW_COMMANDS}[command], **environment)
    assert_one_line(done, "LETHE_POLICY_FILE", "absent.json", "No such file")


@pytest.mark.parametrize("command", ["worker", "init"])
@pytest.mark.usefixtures("installed_here")
def test_a_policy_that_searches_what_has_no_order_is_named(
    environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    from unlearning import default_policy

    policy = json.loads(default_policy().to_json())
    policy["ladder"][0] = {"method": "ucan", "search": {"field": "hard_prune", "low": 0.1, "high": 1.0}}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    environment["LETHE_POLICY_FILE"] = str(tmp_path / "policy.json")
    done = lethe(*{**COMMANDS, **SLOW_COMMANDS}[command], **environment)
    assert_one_line(done, "LETHE_POLICY_FILE", "rung 1 of the ladder", "ucan.hard_prune is no number")


@pytest.mark.parametrize(
    ("content", "said"), [(b"\xff", "utf-8"), (b"{", "not JSON"), (b'{"schema": "x"}', "not a policy")]
)
def test_a_policy_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    from app.failures import describe
    from worker.process import load_policy

    policy = tmp_path / "policy.json"
    policy.write_bytes(content)
    with pytest.raises(Exception, match=said) as raised:
        load_policy(Settings(environment="development", policy_file=policy))
    assert str(describe(raised.value)).startswith("LETHE_POLICY_FILE: ")


@pytest.mark.parametrize("command", ["gateway", "worker"])
@pytest.mark.usefixtures("installed_here")
def test_a_base_that_is_not_there_is_named(environment: dict[str, str], tmp_path: Path, command: str) -> None:
    environment["LETHE_BASE"] = str(tmp_path / "no-base")
    assert_one_line(lethe(*COMMANDS[command], **environment), "LETHE_BASE", "no-base")


@pytest.mark.parametrize("command", ["gateway", "worker"])
@pytest.mark.parametrize("url", ["ftp://somewhere", "file://elsewhere/x", "/dev/null/store"])
@pytest.mark.usefixtures("installed_here")
def test_a_store_that_cannot_be_used_is_named(environment: dict[str, str], command: str, url: str) -> None:
    environment["LETHE_STORE_URL"] = url
    assert_one_line(lethe(*COMMANDS[command], **environment), "LETHE_STORE_URL")


# By what each of these is read, if not by all commands that need the store.
DAMAGED = {
    "journal/000000000001.json": ["gateway", "worker", "init", "audit"],
    "timelines/000000001.json": ["gateway", "worker", "init", "audit"],
    "floors/000000000001.json": ["gateway", "worker", "init", "audit"],
    "checkpoints/000000001000000000001.json": ["audit"],
}


@pytest.mark.parametrize(
    ("key", "command"), [(key, command) for key, commands in DAMAGED.items() for command in commands]
)
@pytest.mark.usefixtures("installed_here")
def test_a_damaged_object_of_the_store_is_named(
    environment: dict[str, str], tmp_path: Path, key: str, command: str
) -> None:
    path = tmp_path / "store" / key
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"epoch":1')
    done = lethe(*{**COMMANDS, **SLOW_COMMANDS}[command], **environment)
    assert_one_line(done, "LETHE_STORE_URL", f"{key} is damaged", "put this file back from a copy")


@pytest.mark.parametrize("command", ["gateway", "worker"])
@pytest.mark.usefixtures("installed_here")
def test_a_broker_whose_folder_cannot_be_made_is_named(environment: dict[str, str], command: str) -> None:
    environment["LETHE_BROKER_URL"] = "filesystem:///dev/null/broker"
    assert_one_line(lethe(*COMMANDS[command], **environment), "LETHE_BROKER_URL", "Not a directory")


@pytest.fixture
def installed_here(environment: dict[str, str]) -> None:
    assert lethe("migrate", **environment).returncode == 0


@pytest.mark.usefixtures("installed_here")
def test_absurd_dates_are_named(environment: dict[str, str]) -> None:
    for days in ("10000000", "0", "-3"):
        issue = ["keys", "issue", "shop", "--scope", "all", f"--days={days}"]
        assert_one_line(lethe(*issue, **environment), "--days", "36500")


def test_what_up_needs_is_looked_at_before_anything_is_made(
    environment: dict[str, str], tmp_path: Path
) -> None:
    del environment["LETHE_PORT"]
    state = tmp_path / "state"
    up = ["up", "--state", str(state), "--port", str(free_port())]
    assert_one_line(lethe(*up, "--data", str(tmp_path / "nowhere")), "--data", "nowhere")
    assert_one_line(lethe(*up, "--host", "nowhere.invalid"), "LETHE_HOST", "resolved")
    assert not list(state.glob("*.sqlite3"))
    (state / "secrets.json").write_text("{")
    assert_one_line(lethe(*up), "secrets.json")
    assert_one_line(lethe("up", LETHE_STATE="/dev/null/state"), "LETHE_STATE", "Not a directory")
