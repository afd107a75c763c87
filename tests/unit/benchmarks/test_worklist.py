"""What `lethe bench worklist` measures and prints; its figures need PostgreSQL, this test does not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from sqlalchemy import select
from typer.testing import CliRunner

from app.audit.log import AuditLog
from app.db.models import ForgetRequest, Run
from app.db.schema import migrate
from app.db.session import Database, open_database
from app.forget_requests.states import REQUESTS
from app.settings import Settings
from benchmarks.commands import bench_app
from benchmarks.worklist import SHARES, fill, works
from tests.unit.benchmarks.test_tables import ENVIRONMENT, cells, printed_again

RESULT = {
    "benchmark": "worklist",
    "environment": ENVIRONMENT,
    "requests": 10_000,
    "seed": 7,
    "times": 50,
    "seconds": {"claim": {"p50": 0.0125, "p95": 0.03, "max": 1.0}},
}


def test_the_table_is_printed_again_from_a_file(tmp_path: Path) -> None:
    text = printed_again(RESULT, tmp_path)
    assert "10000 open requests on PostgreSQL, seed 7; each measured 50 times" in text
    assert cells(text, "in milliseconds.", "claim") == {
        "": "claim",
        "p50": "12.5",
        "p95": "30.0",
        "max": "1000.0",
    }


def test_what_is_measured_does_its_work_and_leaves_the_queue_as_it_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bench.sqlite3"
    engine = open_database(url)
    migrate(engine)
    database = Database(engine)
    fill(database, 200, seed=0)
    settings = Settings(environment="development", database_url=url)

    def states() -> dict[str, int]:
        with database.read() as session:
            return dict(Counter(session.scalars(select(ForgetRequest.status))))

    before = states()
    assert set(before) == {REQUESTS.table[last] for last in SHARES}
    assert sum(before.values()) == 200
    for work in works(database, AuditLog.of(settings), settings, 100).values():
        work()
    assert states() == before
    with database.read() as session:
        assert session.scalars(select(Run.claims)).all() == [0]
    engine.dispose()


def test_without_a_server_it_is_a_usage_error() -> None:
    unreachable = "postgresql://nobody@127.0.0.1:1/nothing"
    done = CliRunner().invoke(bench_app, ["worklist", "--database", unreachable])
    assert done.exit_code == 2
    assert "cannot create a database there" in done.output
