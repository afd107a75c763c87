"""`lethe bench chaos`, a short run of it: real processes on both databases, and no promise broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.test_bench_accept import databases_called
from tests.acceptance.test_bench_forget import Bench
from tests.services import postgres_url

# A few of the faults. Those of a worker that is frozen, or dies as the pointer moves, have tests of their own in
# tests/integration/worker (test_lease, test_execution) and in test_forgetting.
FAULTS = {
    "sqlite": (
        "worker within blob",
        "gateway after commit of the acceptance",
    ),
    "postgresql": (
        "fail-over to a lagging copy",
        "gateway frozen past its lease",
    ),
}


@pytest.mark.parametrize("database", FAULTS)
def test_a_few_runs_break_no_promise(tmp_path: Path, database: str) -> None:
    before, result_file, work = databases_called("lethe_chaos_"), tmp_path / "result.json", tmp_path / "work"
    arguments = [argument for fault in FAULTS[database] for argument in ("--fault", fault)]
    command = [
        "--runs", str(len(FAULTS[database])), "--database", database, "--server", postgres_url(),
        "--work", str(work), "--json", str(result_file), *arguments,
    ]  # fmt: skip
    bench = Bench(tmp_path, *command, command="chaos")
    try:
        assert bench.process.wait(400) == 0, bench.wrote()[-3000:]
        result = json.loads(result_file.read_text())
        assert sorted(row["fault"] for row in result["rows"]) == sorted(FAULTS[database])
        assert result["violations"] == {}
        assert result["requests"] >= len(FAULTS[database])
        # Runs that are there are not made again.
        assert len((work / next(work.iterdir()).name).read_text().splitlines()) == len(FAULTS[database])
        assert bench.folders() == []
        assert bench.survivors() == []
        assert databases_called("lethe_chaos_") <= before
    finally:
        bench.end()
