"""What `lethe up` keeps in its folder, and which commands work with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import get_settings
from cli.failures import CommandError
from cli.state_folder import (
    drop_address,
    environment_of,
    keep_address,
    keep_key,
    kept_address,
    kept_key,
    use_settings_of,
)
from tests.modes import open_to_others


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("LETHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    get_settings.cache_clear()
    yield
    os.environ.clear()
    os.environ.update(before)
    get_settings.cache_clear()


def test_secrets_are_drawn_once_and_everything_is_private(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = environment_of(state)
    assert environment_of(state) == first
    assert first["LETHE_SUBJECT_KEY"] != first["LETHE_AUDIT_KEY"]
    keep_key(state, "lethe_key")
    keep_address(state, "http://127.0.0.1:8000")
    assert (kept_key(state), kept_address(state)) == ("lethe_key", "http://127.0.0.1:8000")
    assert open_to_others(state) == []


def test_a_folder_without_key_and_address_has_none(tmp_path: Path) -> None:
    assert (kept_key(tmp_path), kept_address(tmp_path)) == (None, None)


def test_secrets_that_were_damaged_are_not_drawn_anew(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{}")
    with pytest.raises(CommandError, match="put back a copy"):
        environment_of(tmp_path)


def test_a_command_in_the_folder_of_lethe_up_works_with_its_installation(tmp_path: Path) -> None:
    environment = environment_of(tmp_path / ".lethe")
    use_settings_of(None)
    assert get_settings().database_url == environment["LETHE_DATABASE_URL"]


def test_whoever_has_set_an_installation_means_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment_of(tmp_path / ".lethe")
    monkeypatch.setenv("LETHE_DATABASE_URL", "postgresql://elsewhere/lethe")
    use_settings_of(None)
    assert "LETHE_SUBJECT_KEY" not in os.environ


def test_a_folder_that_is_named_must_be_one(tmp_path: Path) -> None:
    use_settings_of(None)
    with pytest.raises(CommandError, match="has made no installation"):
        use_settings_of(tmp_path / "nowhere")


def test_a_folder_that_is_named_on_the_command_line_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = environment_of(tmp_path / "demo")
    monkeypatch.setenv("LETHE_DATABASE_URL", "postgresql://elsewhere/lethe")
    use_settings_of(tmp_path / "demo")
    assert os.environ["LETHE_DATABASE_URL"] == "postgresql://elsewhere/lethe"
    use_settings_of(tmp_path / "demo", explicit=True)
    assert os.environ["LETHE_DATABASE_URL"] == environment["LETHE_DATABASE_URL"]


def test_an_address_goes_with_its_gateway(tmp_path: Path) -> None:
    keep_address(tmp_path, "http://127.0.0.1:8000")
    drop_address(tmp_path)
    drop_address(tmp_path)
    assert kept_address(tmp_path) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_of_another_user_is_one_line(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0o000)
    with pytest.raises(CommandError, match="cannot look into"):
        use_settings_of(closed)
