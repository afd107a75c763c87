"""`lethe init` on a base that `lethe import` merged an earlier adapter into."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.settings import Settings
from recommender.imports.importing import EARLIER_FILE
from tests.integration.cli.running import assert_one_line, environment_of, lethe
from tests.integration.cli.test_init import PEOPLE, write


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return environment_of(settings)


def test_a_base_with_an_earlier_adapter_is_not_taken_before_somebody_says_whom_it_had_read(
    environment: dict[str, str], base_folder: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(base_folder, tmp_path / "merged")
    (base / EARLIER_FILE).write_text("{}")
    merged = environment | {"LETHE_BASE": str(base)}
    data = write(tmp_path / "data", range(PEOPLE))
    assert lethe("migrate", **merged).returncode == 0
    init = ["init", "--no-levels", "--data", str(data), "--epochs", "1"]
    assert_one_line(lethe(*init, **merged), "holds an earlier adapter", "--base-readers")
    nobody = tmp_path / "nobody.txt"
    nobody.write_text("")
    done = lethe(*init, "--base-readers", str(nobody), **merged)
    assert done.returncode == 0, done.stderr
    assert "is live as generation 1" in done.stdout
