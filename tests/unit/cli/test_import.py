"""`lethe import`, as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from recommender import ModelLoadError, base_digest
from tests.documents import REPOSITORY
from tests.unit.recommender.imports.conftest import Owner, _pefts_own_warnings, imported_logits, owner

__all__ = ["_pefts_own_warnings", "owner"]


def arguments(theirs: Owner, out: Path) -> list[str]:
    return ["import", "--base", str(theirs.base), "--adapter", str(theirs.adapter), "--out", str(out)]


def test_it_says_what_it_did_and_what_is_next(owner: Callable[..., Owner], tmp_path: Path) -> None:
    theirs, out = owner(modules_to_save=["embed_tokens"], grow=True), tmp_path / "new" / "out"
    done = CliRunner().invoke(app, arguments(theirs, out))
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "LoRA: 8 tensors on 4 modules, kept as they are"
    assert any(line.endswith("made a part of the adapter (embed_rows)") for line in lines)
    assert lines[-2].startswith(f"written: {out / 'base'} (digest {(base_digest(out / 'base') or '')[:16]})")
    assert (
        lines[-1] == f"next: LETHE_BASE={out / 'base'} lethe init --data FOLDER --adapter {out / 'adapter'}"
    )
    assert (imported_logits(out) - theirs.logits).abs().max() < 1e-5


def test_json_is_the_report_that_is_kept(owner: Callable[..., Owner], tmp_path: Path) -> None:
    theirs, out = owner(), tmp_path / "out"
    done = CliRunner().invoke(
        app, [*arguments(theirs, out), "--adapter-before", str(theirs.adapter), "--json"]
    )
    assert json.loads(done.stdout) == json.loads((out / "import.json").read_text())
    assert "merged" in {entry["verdict"] for entry in json.loads(done.stdout)["entries"]}


def test_what_is_refused_is_one_line_and_exit_code_2(owner: Callable[..., Owner], tmp_path: Path) -> None:
    theirs, out = owner(), tmp_path / "out"
    (theirs.adapter / "adapter_model.safetensors").unlink()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments(theirs, out)],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("lethe: ")
    assert done.stderr.count("\n") == 1
    assert "has no adapter_model.safetensors" in done.stderr
    assert not out.exists()


def test_an_earlier_adapter_that_is_none_is_refused(owner: Callable[..., Owner], tmp_path: Path) -> None:
    theirs, out = owner(), tmp_path / "out"
    done = CliRunner().invoke(app, [*arguments(theirs, out), "--adapter-before", str(tmp_path / "nowhere")])
    assert isinstance(done.exception, ModelLoadError)
    with pytest.raises(FileNotFoundError):
        out.stat()
