"""What `lethe bench chaos` prints; the rest of it needs real services (tests/acceptance)."""

from pathlib import Path

from typer.testing import CliRunner

from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.run import summary
from benchmarks.commands import bench_app
from tests.unit.benchmarks.test_tables import ENVIRONMENT, cells, printed_again


def row(number: int, fault: str, *violations: str) -> dict[str, object]:
    return {
        "number": number, "database": "sqlite", "fault": fault, "kind": "restore", "requests": 2, "recommendations": 10,
        "seconds": 3.0 + number, "violations": [*violations],
    }  # fmt: skip


ROWS = [row(0, "restore"), row(1, "restore", "I1: lost"), row(2, "other", "I1: lost", "I4: two")]
RESULT = {
    "benchmark": "chaos", "environment": ENVIRONMENT, "seed": 5, "wall_seconds": 120.0, "feed_lease_seconds": 1.0,
    **summary(ROWS), "left_out": ["store full"], "rows": ROWS,
}  # fmt: skip


def test_runs_are_counted_and_violations_named() -> None:
    assert summary(ROWS) == {
        "runs": 3, "requests": 6, "recommendations": 30, "faults": 2, "kinds": 1, "runs_with_violations": 2,
        "violations": {"I1: lost": 2, "I4: two": 1},
    }  # fmt: skip


def test_the_tables_are_printed_again_from_a_file(tmp_path: Path) -> None:
    text = printed_again(RESULT, tmp_path)
    assert "3 runs (seed 5) over 2 faults of 1 kinds in 2 minutes" in text
    assert "Not possible on this machine: store full" in text
    assert list(cells(text, "### What was not kept", "I1: lost").values()) == ["I1: lost", "2"]
    assert list(cells(text, "### Every fault", "restore").values()) == [
        "restore", "sqlite", "2", "4", "1", "3.5", "4.0",
    ]  # fmt: skip


def test_faults_are_of_many_kinds_under_different_names() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert len({fault.kind for fault in FAULTS}) >= 16


def test_an_unknown_fault_or_database_is_a_usage_error() -> None:
    for arguments in (["--fault", "rain"], ["--database", "paper"]):
        done = CliRunner().invoke(bench_app, ["chaos", *arguments])
        assert done.exit_code == 2
        assert arguments[1] in done.output
