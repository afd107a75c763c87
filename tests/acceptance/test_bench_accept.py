"""`lethe bench accept` end to end: nothing may stay behind, and no forget request is turned away."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from tests.acceptance.conftest import USER_PREFIX
from tests.acceptance.test_bench_forget import Bench
from tests.services import postgres_url


def databases_called(prefix: str) -> set[str]:
    url = make_url(postgres_url()).set(drivername="postgresql+psycopg")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return set(
            connection.scalars(
                text("SELECT datname FROM pg_database WHERE starts_with(datname, :prefix)"),
                {"prefix": prefix},
            )
        )


def test_forgets_are_accepted_beside_imports(small_data: Path, tmp_path: Path) -> None:
    before = databases_called("lethe_bench_")
    result_file = tmp_path / "result.json"
    bench = Bench(
        tmp_path, "--beside", "import", "--forgets", "20", "--data", str(small_data), "--json", str(result_file),
        "--database", postgres_url(), command="accept",
    )  # fmt: skip
    try:
        assert bench.process.wait(400) == 0, bench.wrote()[-3000:]
        result = json.loads(result_file.read_text())
        (run,) = result["runs"]
        assert (run["beside"], run["database"]) == ("import", "postgresql")
        assert (run["forgets"]["count"], run["forgets"]["statuses"]) == (20, {"202": 20})
        assert set(run["imports"]["statuses"]) == {"200"}
        assert run["imports"]["count"] >= 8
        assert set(run["recommendations"]["with"]["statuses"]) == {"200"}
        for wrote in (result_file.read_text(), bench.wrote()):
            assert USER_PREFIX not in wrote
        assert bench.folders() == []
        assert bench.survivors() == []
        assert databases_called("lethe_bench_") <= before
    finally:
        bench.end()
