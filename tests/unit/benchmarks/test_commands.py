import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.commands import bench_app

RESULT = {
    "benchmark": "ucan-cost",
    "environment": {
        "machine": {"cores": 2, "processor": "test"},
        "threads": 1,
        "load_before": [0.5],
        "library_versions": {"torch": "2"},
        "commit": "0123456789abcdef",
        "uncommitted_changes": False,
        "measured_at": "2026-01-01T00:00:00+00:00",
    },
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
    stored, table = tmp_path / "result.json", tmp_path / "result.md"
    stored.write_text(json.dumps(RESULT))
    done = CliRunner().invoke(bench_app, ["report", str(stored), "--markdown", str(table)])
    assert done.exit_code == 0
    assert "| 5 | 100 | 0.500 | 0.600 | 1.20 | 1.10 | 1.30 | 1.05 | 1.10 |" in table.read_text()
    assert "commit 0123456789ab," in table.read_text()


@pytest.mark.parametrize("methods", ["ucan,magic", ","])
def test_an_unknown_method_is_a_usage_error(methods: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(bench_app, ["unlearn", "--data", str(tmp_path), "--methods", methods])
    assert done.exit_code == 2
    assert "choose from" in done.output


@pytest.mark.parametrize("content", [None, "{", "[]", '{"benchmark": "other"}'])
def test_what_is_no_result_is_a_usage_error(content: str | None, tmp_path: Path) -> None:
    stored = tmp_path / "result.json"
    if content is not None:
        stored.write_text(content)
    done = CliRunner().invoke(bench_app, ["report", str(stored)])
    assert done.exit_code == 2
    assert "is not a result" in done.output


def test_a_missing_folder_is_reported_before_the_work(tmp_path: Path) -> None:
    wanted = str(tmp_path / "absent" / "result.json")
    done = CliRunner().invoke(bench_app, ["unlearn", "--data", str(tmp_path), "--json", wanted])
    assert done.exit_code == 2
    assert "there is no folder" in done.output


def test_a_share_and_scenarios_exclude_each_other(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        bench_app, ["unlearn", "--data", str(tmp_path), "--scenarios", "users-1", "--forget", "0.05"]
    )
    assert done.exit_code == 2
    assert "either scenarios or a share" in done.output
