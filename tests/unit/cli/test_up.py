"""What `lethe up` says once it is up."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from cli.up import _introduce

URL, KEY = "http://127.0.0.1:8000", "lethe_" + "k" * 20


def introduction(
    capsys: pytest.CaptureFixture[str], state: Path, user: str = "user-1", program: str = "lethe"
) -> str:
    used, sys.argv[0] = sys.argv[0], program
    try:
        _introduce(URL, KEY, state, user)
    finally:
        sys.argv[0] = used
    return capsys.readouterr().out


def test_the_key_is_said_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = introduction(capsys, tmp_path)
    assert said.count(KEY) == 1
    assert '"Authorization: Bearer $LETHE_API_KEY"' in said


def test_what_to_try_next_is_called_as_lethe_up_was(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "  .venv/bin/lethe recommend user-1\n" in introduction(
        capsys, tmp_path / ".lethe", program=".venv/bin/lethe"
    )
    elsewhere = introduction(capsys, tmp_path / "my state", program=str(tmp_path / "main.py"))
    assert f"  {sys.executable} -m cli.main status --state '{tmp_path}/my state'\n" in elsewhere


@pytest.mark.parametrize("user", ["it's me", "-v", "a b&c", "$(id)", "ü/ö"])
def test_any_users_id_survives_the_shell(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, user: str
) -> None:
    lines = introduction(capsys, tmp_path, user).splitlines()
    (recommend,) = [line for line in lines if " recommend " in line]
    assert shlex.split(recommend)[-1] == user
    for line in lines:
        if line.startswith("  curl"):
            assert all(text not in line for text in (" me", "$(", "&c", "ü"))


def test_somebody_who_is_not_named_has_to_be_put_in(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "with the id of somebody in your data as USER:\n" in introduction(capsys, tmp_path, "USER")
    assert "in another terminal:\n" in introduction(capsys, tmp_path)
