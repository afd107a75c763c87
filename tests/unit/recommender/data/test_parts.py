"""Folders of parts, as Spark writes a table."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recommender.data.formats import load_interactions
from recommender.errors import DataError

HEADER = "user_id,item_id,timestamp\n"
MARKS = {"_SUCCESS": b"", "._SUCCESS.crc": b"\x00", ".part-00000.csv.crc": b"\x00"}


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def rows(*events: tuple[str, str, int]) -> pa.Table:
    users, items, times = zip(*events, strict=True) if events else ((), (), ())
    schema = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), ("timestamp", pa.int64())])
    return pa.table([list(users), list(items), list(times)], schema=schema)


def test_parts_are_one_table_and_marks_are_no_data(tmp_path: Path):
    write(
        tmp_path,
        {"part-00001-a-c000.csv": HEADER + "b,y,2\n", "part-00000-a-c000.csv": HEADER + "a,x,1\n", **MARKS},
    )
    write(tmp_path, {"items.csv": "item_id,title\nx,One\ny,Two\n", "users.csv": "user_id,age\na,30\n"})
    data = load_interactions(tmp_path)
    assert sorted(data.histories) == ["a", "b"]
    assert data.catalogue.titles == ("One", "Two")
    assert data.attributes == {"a": {"age": "30"}}
    assert not data.warnings


def test_parts_of_parquet_are_read_and_those_without_a_row_are_left_out(tmp_path: Path):
    write(tmp_path, MARKS)
    for number, own in enumerate((rows(("a", "x", 1)), rows(), rows(("a", "y", 2), ("b", "x", 3)))):
        pq.write_table(own, tmp_path / f"part-{number:05}-0.snappy.parquet")
    assert load_interactions(tmp_path).events == 3


@pytest.mark.parametrize("empty", ["", HEADER, HEADER + "\n \n"])
def test_a_part_of_text_without_a_row_is_left_out(tmp_path: Path, empty: str):
    write(tmp_path, {"part-0.csv": empty, "part-1.csv": HEADER + "a,x,1\n"})
    assert load_interactions(tmp_path).events == 1
    write(tmp_path, {"part-1.csv": empty})
    with pytest.raises(DataError, match=r"empty|holds no row"):
        load_interactions(tmp_path)


def test_a_part_of_another_kind_is_not_passed_over_in_silence(tmp_path: Path):
    write(tmp_path, {"part-0.csv": HEADER + "a,x,1\n", "part-1.csv.gz": b"\x1f\x8b"})
    with pytest.raises(DataError, match=r"parts of several kinds \(\.csv, \.gz\)"):
        load_interactions(tmp_path)


def test_packed_parts_are_named(tmp_path: Path):
    write(tmp_path, {"part-0.csv.gz": b"\x1f\x8b", **MARKS})
    with pytest.raises(DataError, match=r"part-0\.csv\.gz cannot be read, unpack or convert it first"):
        load_interactions(tmp_path)


def test_a_damaged_part_is_named(tmp_path: Path):
    write(tmp_path, {"part-0.csv": HEADER + "a,x,1\n"})
    (tmp_path / "part-0.csv").unlink()
    write(tmp_path, {"part-0.parquet": b"PAR1 cut off"})
    with pytest.raises(DataError, match=r"part-0\.parquet is a Parquet file that is cut off"):
        load_interactions(tmp_path)
