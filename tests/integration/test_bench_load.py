"""`lethe bench load --database`: the whole way of interactions from a file into PostgreSQL."""

from pathlib import Path

from benchmarks import load
from benchmarks.load_into_database import ways
from benchmarks.tables import markdown
from tests.acceptance.test_bench_accept import databases_called
from tests.services import postgres_url


def test_formats_are_read_and_stored_alike_and_no_database_is_left(tmp_path: Path) -> None:
    before = databases_called("lethe_bench_")
    with ways(postgres_url()) as stores:
        found = load.run(2000, folder=tmp_path, ways=stores)
    csv, parquet = found["rows"]
    assert (csv["format"], parquet["format"]) == ("csv", "parquet")
    # 13 users and 2 items, so that every pair is met.
    assert csv["events"] == parquet["events"] == 26
    for row in (csv, parquet):
        assert row["peak_bytes"] > 0
        assert row["ratio"] == row["processor_seconds"] / row["library_processor_seconds"]
    # A user's repeated interactions count once, except where nobody looks.
    assert {name: one["events"] for name, one in found["stored"].items()} == {"lethe": 26, "copy_alone": 2000}
    assert all(one["peak_bytes"] > 0 for one in found["stored"].values())
    assert "| parquet |" in markdown(found)
    assert "| COPY alone | 2000 |" in markdown(found)
    assert databases_called("lethe_bench_") <= before
