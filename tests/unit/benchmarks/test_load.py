from pathlib import Path

from benchmarks import load
from benchmarks.tables import markdown


def test_both_formats_are_read_and_hold_the_same_interactions(tmp_path: Path) -> None:
    result = load.run(2000, folder=tmp_path)
    csv, parquet = result["rows"]
    assert (csv["format"], parquet["format"]) == ("csv", "parquet")
    # 13 users and 2 items, so that every pair is met.
    assert csv["events"] == parquet["events"] == 26
    for row in (csv, parquet):
        assert row["peak_bytes"] > 0
        assert row["ratio"] == row["processor_seconds"] / row["library_processor_seconds"]
    assert "| parquet |" in markdown(result)
