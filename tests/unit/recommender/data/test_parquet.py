from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recommender import DataError, Event, load_interactions
from recommender.data import parquet

ROWS: dict[str, Any] = {
    "user_id": ["ann", "ann", "bob"],
    "item_id": ["y", "x", "y"],
    "timestamp": [20, 10, 5],
}
EXPECTED = {"ann": (Event(1, 10), Event(0, 20)), "bob": (Event(0, 5),)}
DAY = 1_704_067_200  # 2024-01-01T00:00:00Z


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_interactions(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(params=[1, 2, parquet.ROWS_AT_A_TIME])
def in_batches_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so many rows, so that a small file has many."""
    monkeypatch.setattr(parquet, "ROWS_AT_A_TIME", request.param)


@pytest.mark.usefixtures("in_batches_of")
def test_a_file_or_a_folder_with_titles_and_attributes(tmp_path: Path):
    write(
        tmp_path / "interactions.parquet",
        ROWS | {"rating": [5, None, 2.5], "split": ["test", "train", "train"]},
    )
    write(tmp_path / "items.parquet", {"item_id": ["x", "y"], "title": ["Ex", "Why"], "tags": [["a"], []]})
    write(tmp_path / "users.parquet", {"user_id": ["bob"], "age": [31], "member": [True], "tags": [["x"]]})
    data = load_interactions(tmp_path)
    assert data.catalogue.titles == ("Ex", "Why")
    assert data.histories == {"ann": (Event(0, 10), Event(1, 20)), "bob": (Event(1, 5),)}
    assert data.ratings == {"ann": (None, 5.0), "bob": (2.5,)}
    assert data.splits == {"ann": ("train", "test"), "bob": ("train",)}
    assert data.attributes == {"bob": {"age": "31"}}
    assert (data.warnings, data.rejected) == ((), ())
    assert load_interactions(tmp_path / "interactions.parquet").histories == data.histories


@pytest.mark.parametrize(
    ("name", "values", "spelt"),
    [
        ("user_id", pa.array(["a", "a", "b"], pa.large_string()), ["a", "b"]),
        ("user_id", pa.array(["a", "a", "b"]).dictionary_encode(), ["a", "b"]),
        ("user_id", pa.array([7, 7, 8], pa.int32()), ["7", "8"]),
        ("user_id", pa.array([2**64 - 1, 2**64 - 1, 8], pa.uint64()), [str(2**64 - 1), "8"]),
        ("user_id", pa.array([7.0, 7.0, 8.5]), ["7", "8.5"]),
        ("user_id", pa.array([Decimal("7.0"), Decimal("7.0"), Decimal("8.5")]), ["7", "8.5"]),
    ],
)
def test_ids_of_any_type_of_text_or_number(tmp_path: Path, name: str, values: pa.Array, spelt: list[str]):
    data = load_interactions(write(tmp_path / "a.parquet", ROWS | {name: values}))
    assert list(data.histories) == spelt


@pytest.mark.usefixtures("in_batches_of")
@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (pa.array([20, 10, 5], pa.int8()), [20, 10, 5]),
        (pa.array([20.0, 10.5, 5.25]), [20, 10, 5]),
        (pa.array([20.0, 10.0, 5.0], pa.float32()), [20, 10, 5]),
        (pa.array(["20", "10.5", " 5"]), [20, 10, 5]),
        (pa.array(["1970-01-02", "1970-01-01T00:00:10.5Z", "1970-01-01"]), [86400, 10, 0]),
        (pa.array([Decimal("20.5"), Decimal("10.5"), Decimal("5.0")]), [20, 10, 5]),
        (
            pa.array([datetime(2024, 1, 1, 0, 0, s, tzinfo=UTC) for s in (3, 2, 1)]),
            [DAY + 3, DAY + 2, DAY + 1],
        ),
        (
            pa.array([DAY * 10**9 + 3, DAY * 10**9 + 2, 5 * 10**9], pa.timestamp("ns", "Europe/Paris")),
            [DAY, DAY, 5],
        ),
        (pa.array([date(2024, 1, 2), date(2024, 1, 1), date(2024, 1, 1)]), [DAY + 86400, DAY, DAY]),
    ],
)
def test_times_of_any_type_of_number_or_date(tmp_path: Path, values: pa.Array, seconds: list[int]):
    data = load_interactions(write(tmp_path / "a.parquet", ROWS | {"timestamp": values}))
    assert data.histories["ann"] == (Event(1, seconds[1]), Event(0, seconds[0]))
    assert data.histories["bob"] == (Event(0, seconds[2]),)
    assert data.warnings == ()


def test_dates_without_a_zone_and_large_numbers_are_said(tmp_path: Path):
    naive = pa.array([3, 2, 1], pa.timestamp("ms"))
    data = load_interactions(write(tmp_path / "a.parquet", ROWS | {"timestamp": naive}))
    assert data.warnings == ("a.parquet: 3 times name no time zone and were read as UTC, first in line 1",)
    (warning,) = load_interactions(
        write(tmp_path / "a.parquet", ROWS | {"timestamp": [17 * 10**11] * 3})
    ).warnings
    assert "milliseconds" in warning


@pytest.mark.usefixtures("in_batches_of")
def test_bad_rows_are_reported_by_their_number_in_the_words_of_every_other_file(tmp_path: Path):
    many = 500
    rows = {
        "user_id": ["u"] * many + [None, "lost", "nan", "v"],
        "item_id": ["x"] * many + ["x", "x", "x", "\x07"],
        "timestamp": pa.array([1] * many + [1, None, 1, 1]),
    }
    data = load_interactions(write(tmp_path / "a.parquet", rows))
    assert [(row.file, row.line, row.reason) for row in data.rejected] == [
        ("a.parquet", many + 1, "user_id is missing"),
        ("a.parquet", many + 2, "timestamp must be a number"),
        ("a.parquet", many + 3, "user_id is missing"),
        ("a.parquet", many + 4, "item_id holds a control character, a line break or undecodable bytes"),
    ]
    assert data.skipped_users == {"lost", "v"}
    before_1970 = pa.array([-1, 2, 3], pa.timestamp("s", "UTC"))
    assert "timestamp must not be negative (1, first in line 1)" in refused(
        write(tmp_path / "b.parquet", ROWS | {"timestamp": before_1970})
    )


def test_bytes_that_are_no_text_are_a_bad_row(tmp_path: Path):
    good = [b"u"] * 200
    users = pa.array([*good, b"Zo\xeb"], pa.binary()).view(pa.string())
    rows = {"user_id": users, "item_id": ["x"] * 201, "timestamp": list(range(201))}
    data = load_interactions(write(tmp_path / "a.parquet", rows))
    assert [row.line for row in data.rejected] == [201]
    assert "undecodable bytes" in data.rejected[0].reason


def test_names_of_columns_may_differ_in_case_and_further_ones_do_not_matter(tmp_path: Path):
    columns = {" User_ID": ROWS["user_id"], "ITEM_ID": ROWS["item_id"], "Timestamp": ROWS["timestamp"]}
    data = load_interactions(write(tmp_path / "a.PARQUET", columns | {"vector": [[1.0]] * 3}))
    assert data.histories == EXPECTED


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": ["a"], "timestamp": [1]}, "has no column 'item_id'; it has user_id, timestamp"),
        (ROWS | {"USER_ID": ["a"] * 3}, "more than one column called user_id;"),
        (ROWS | {"user_id": [["a"]] * 3}, "the column 'user_id' holds nested values (list<"),
        (ROWS | {"item_id": [{"id": 1}] * 3}, "the column 'item_id' holds nested values (struct<"),
        (
            ROWS | {"user_id": [True] * 3},
            "'user_id' holds values of type bool; it must hold text or numbers",
        ),
        (ROWS | {"user_id": [b"a"] * 3}, "the column 'user_id' holds values of type binary; it must hold"),
        (
            ROWS | {"user_id": [datetime(2024, 1, 1, tzinfo=UTC)] * 3},
            "'user_id' holds values of type timestamp",
        ),
        (
            ROWS | {"timestamp": [True] * 3},
            "'timestamp' holds values of type bool; it must hold numbers, dates",
        ),
        (ROWS | {"rating": [[5]] * 3}, "the column 'rating' holds nested values"),
        (ROWS | {"user_id": pa.nulls(3)}, "3 of 3 rows are bad: user_id is missing"),
        ({name: pa.array([], pa.string()) for name in ROWS}, "a.parquet is empty"),
    ],
)
def test_wrong_columns_are_one_clear_error(tmp_path: Path, columns: dict[str, Any], message: str):
    assert message in refused(write(tmp_path / "a.parquet", columns))


@pytest.mark.parametrize("kept", [4, 5, 0.5, -1, -8])
def test_a_file_that_is_cut_off_is_said_to_be(tmp_path: Path, kept: float):
    path = write(tmp_path / "interactions.parquet", ROWS)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if 0 < kept < 1 else int(kept)])
    for where in (path, tmp_path):
        assert "interactions.parquet is a Parquet file that is cut off or damaged" in refused(where)


def test_a_page_that_is_damaged_is_said_to_be(tmp_path: Path):
    path = write(
        tmp_path / "a.parquet", ROWS, compression="zstd", write_page_checksum=True, use_dictionary=False
    )
    content = bytearray(path.read_bytes())
    place = content.index(b"\x28\xb5\x2f\xfd") + 4
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(bytes(content))
    assert "cut off or damaged" in refused(path)


def test_a_folder_of_parquet_files_that_are_called_otherwise_says_to_name_one(tmp_path: Path):
    folder = tmp_path / "interactions.parquet"
    folder.mkdir()
    write(folder / "events-0.parquet", ROWS)
    message = refused(folder)
    assert "holds none of" in message
    assert "name the file to read, if it is one of events-0.parquet" in message
    assert load_interactions(folder / "events-0.parquet").histories == EXPECTED


def test_a_text_called_parquet_and_parquet_called_text_are_told(tmp_path: Path):
    text = tmp_path / "a.parquet"
    text.write_text("user_id,item_id,timestamp\na,x,1\n")
    assert "does not begin as a Parquet file does" in refused(text)
    assert "is no text but a Parquet file" in refused(write(tmp_path / "a.csv", ROWS))
    write(tmp_path / "interactions.parquet", ROWS)
    (tmp_path / "items.csv").write_bytes((tmp_path / "interactions.parquet").read_bytes())
    assert "items.csv is no text but a Parquet file" in refused(tmp_path)


def test_two_data_sets_in_one_folder_are_refused(tmp_path: Path):
    write(tmp_path / "interactions.parquet", ROWS)
    (tmp_path / "interactions.csv").write_text("user_id,item_id,timestamp\na,x,1\n")
    assert "name the one to read" in refused(tmp_path)
