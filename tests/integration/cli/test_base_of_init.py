"""`lethe init` and its base: what is missing or unsaid is told before anything is stored."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from app.db.models import Interaction
from app.db.session import Database
from tests.integration.cli.running import assert_one_line, lethe
from tests.integration.cli.test_init import PEOPLE, environment, write

__all__ = ["environment"]


def test_a_missing_base_is_not_made_up_for_somebodys_adapter(
    environment: dict[str, str], database: Database, tmp_path: Path
) -> None:
    data = write(tmp_path / "data", range(PEOPLE))
    environment["LETHE_BASE"] = str(tmp_path / "typo")
    wanted = ["init", "--data", str(data), "--adapter", str(tmp_path)]
    assert_one_line(lethe(*wanted, **environment), "LETHE_BASE", "there is no", "the adapter was trained on")
    assert not (tmp_path / "typo").exists()
    with database.read() as session:
        assert session.scalars(select(Interaction)).first() is None


def test_a_base_with_a_tokenizer_says_what_it_reads_before_anything_is_stored(
    environment: dict[str, str], database: Database, tmp_path: Path
) -> None:
    data = write(tmp_path / "data", range(PEOPLE))
    base = Path(environment["LETHE_BASE"])
    said = (base / "style.json").read_text()
    (base / "style.json").unlink()
    (base / "tokenizer.json").write_text("{}")
    wanted = ["init", "--no-levels", "--epochs", "1", "--data", str(data)]
    assert_one_line(
        lethe(*wanted, **environment), "has a tokenizer and no style.json", "describe your prompt"
    )
    with database.read() as session:
        assert session.scalars(select(Interaction)).first() is None
    (base / "style.json").write_text(said)
    assert lethe(*wanted, **environment).returncode == 0
    again = lethe(*wanted, "--adapter", str(tmp_path / "nothing"), **environment)
    assert (again.returncode, "--data and --adapter were not read" in again.stdout) == (0, True)
