"""Database, broker and store as the doctor sees them; looking makes nothing and shows no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import Settings
from cli.doctor import services
from cli.doctor.findings import State
from tests.ports import free_port


def settings_in(folder: Path, **values: object) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        environment="development",
        **{  # type: ignore[arg-type]
            "database_url": f"sqlite:///{folder}/lethe.sqlite3",
            "broker_url": f"filesystem://{folder}/broker",
            "store_url": str(folder / "store"),
            **values,
        },
    )


def test_looking_at_an_empty_folder_leaves_it_empty(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    assert services.check_database(settings).advice == "run: lethe migrate"
    assert services.check_clock(settings).state is State.WARNING
    assert services.check_broker(settings).state is State.WARNING
    assert services.check_store(settings).state is State.WARNING
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("redis://:hush@host:6380/2", "redis://host"),
        ("amqp://user:hush@[::1]", "amqp://[::1]"),
        ("amqp://u:p1@h1;amqp://u:p2@h2:5672/v", "amqp://h1;amqp://h2"),
        ("amqp://u:hu;sh@host", "amqp://u;host"),
        ("redis://:12/hush@host", "redis://host"),
        ("filesystem:///var/broker", "filesystem:///var/broker"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, public: str) -> None:
    assert services.public_broker(url) == public


def test_a_broker_that_is_down_is_a_failure_that_keeps_the_password(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, broker_url=f"redis://:hush@127.0.0.1:{free_port()}/0")
    found = services.check_broker(settings)
    assert found.state is State.FAILURE
    assert "does not answer" in found.found
    assert "hush" not in found.line()


def test_a_database_server_that_is_down_is_a_failure_that_keeps_the_password(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, database_url=f"postgresql://u:hush@127.0.0.1:{free_port()}/lethe")
    found = services.check_database(settings)
    assert found.state is State.FAILURE
    assert "hush" not in found.line()
    assert services.check_clock(settings).state is State.WARNING


def test_a_store_on_this_machine_creates_what_is_absent_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir(0o700)
    found = services.check_store(settings_in(tmp_path, store_url=f"file://{tmp_path}/store"))
    assert found.state is State.OK
    assert "creates what is absent and nothing else" in found.found
    assert list((tmp_path / "store").glob(".doctor-*")) == []


def test_a_store_that_is_a_file_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    assert services.check_store(settings_in(tmp_path)).state is not State.OK


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("/var/store", Path("/var/store")),
        ("file:///var/my%20store", Path("/var/my store")),
        ("memory:", None),
    ],
)
def test_the_folder_of_a_store(url: str, folder: Path | None) -> None:
    assert services.local_folder(url) == folder
