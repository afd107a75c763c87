import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.commands import bench_app
from benchmarks.fits import Regime
from benchmarks.gate import calibration
from benchmarks.gate import run as gate
from benchmarks.gate.summary import summary
from tests.unit.benchmarks.test_tables import ENVIRONMENT, printed_again

RESULT = {
    "benchmark": "ucan-cost",
    "environment": ENVIRONMENT,
    "data": {"source": "synthetic"},
    "repeats": 3,
    "rows": [
        {
            "subjects": 5,
            "tokens": 100,
            "forward_seconds": 0.5,
            "ucan_seconds": 0.6,
            "ratio_to_forward": 1.2,
            "ratio_to_forward_processor_time": 1.1,
            "ratio_to_forward_without_logits": 1.3,
            "peak_memory_ratio": 1.05,
            "peak_memory_ratio_without_logits": 1.1,
        }
    ],
}


def test_a_stored_result_is_printed_as_tables(tmp_path: Path) -> None:
    text = printed_again(RESULT, tmp_path)
    assert "| 5 | 100 | 0.500 | 0.600 | 1.20 | 1.10 | 1.30 | 1.05 | 1.10 |" in text
    assert "commit 0123456789ab," in text


@pytest.mark.parametrize("command", ["unlearn", "gate", "sequence"])
def test_without_interactions_there_is_nothing_to_measure(command: str) -> None:
    done = CliRunner().invoke(bench_app, [command])
    assert done.exit_code == 2
    assert "--data" in done.output


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("unlearn --methods ucan,magic", "choose from"),
        ("unlearn --methods ,", "choose from"),
        ("unlearn --scenarios users-7", "interactions-25"),
        ("unlearn --scenarios users-1 --forget 0.05", "either scenarios or a share"),
        ("unlearn --style titles", "choose from item_tokens"),
        ("gate --users outsiders", "choose development or report"),
        ("unlearn --json absent/result.json", "there is no folder"),
        ("gate --json absent/result.json", "there is no folder"),
        ("sequence --json absent/result.json", "there is no folder"),
        ("tune --json absent/result.json", "there is no folder"),
        ("ucan-cost --markdown absent/result.md", "there is no folder"),
    ],
)
def test_wrong_options_are_usage_errors_before_the_work(command: str, said: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(bench_app, [*command.split(), "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize("content", [None, "{", "[]", '{"benchmark": "other"}'])
def test_what_is_no_result_is_a_usage_error(content: str | None, tmp_path: Path) -> None:
    stored = tmp_path / "result.json"
    if content is not None:
        stored.write_text(content)
    done = CliRunner().invoke(bench_app, ["report", str(stored)])
    assert done.exit_code == 2
    assert "is not a result" in done.output


def test_a_result_that_was_not_packaged_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "COMMITTED", tmp_path / "absent.json")
    done = CliRunner().invoke(bench_app, ["gate", "--report"])
    assert done.exit_code == 2
    assert "no packaged result" in done.output


def test_the_packaged_result_of_the_gate_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged, table = tmp_path / "report.json", tmp_path / "gate.md"
    packaged.write_text(
        json.dumps(
            {
                "benchmark": "gate",
                "data": {"source": "by hand", "users": "report", "worlds": 1, "users_of_a_world": [9]},
                "policy": {"name": "default-4", "hash": "0"},
                "commits": ["0"],
                **summary([], band=2.5),
                "power": [],
                "rows": [],
            }
        )
    )
    monkeypatch.setattr(gate, "COMMITTED", packaged)
    done = CliRunner().invoke(bench_app, ["gate", "--report", "--markdown", str(table)])
    assert done.exit_code == 0
    assert "| false rejects: true re-fits failed | 0 of 0 | – | – | – |" in table.read_text()
    absent = str(tmp_path / "absent" / "gate.json")
    done = CliRunner().invoke(bench_app, ["gate", "--report", "--json", absent])
    assert done.exit_code == 2
    assert "there is no folder" in done.output


def test_the_gate_is_calibrated_on_development_users(
    data: Path, regime: Regime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, run = tmp_path / "gate.md", calibration.run

    def tiny(data: Path, **options: Any) -> dict[str, Any]:
        assert options["with_sweep"] is False
        return run(data, regime=regime, **options)

    monkeypatch.setattr(calibration, "run", tiny)
    work = str(tmp_path / "work")
    options = [
        "--data",
        str(data),
        "--no-sweep",
        "--work",
        work,
        "--processes",
        "1",
        "--markdown",
        str(tables),
    ]
    done = CliRunner().invoke(bench_app, ["gate", "--calibrate", *options])
    assert done.exit_code == 0, done.output
    assert "development users" in tables.read_text()
    assert "| refit |" in tables.read_text()


@pytest.mark.parametrize(("command", "option"), [("gate", "--deletions"), ("sequence", "--requests")])
def test_more_users_than_there_are_is_a_usage_error(
    command: str, option: str, data: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    done = CliRunner().invoke(
        bench_app, [command, "--data", str(data), option, "900", "--work", str(work), "--processes", "1"]
    )
    assert done.exit_code == 2
    assert "900" in done.output
    assert not (work / "fits").exists()
