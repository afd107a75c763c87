from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommender import DataError, RejectedRow
from recommender.data.tables import CSV, JSONL, TSV, BadRow, Row, TableFormat, read_table

TYPED = TableFormat("\t", typed_header=True)
BARE = TableFormat("|", columns=("a", "b"), encoding="latin-1")


def take(row: Row) -> tuple[str, str]:
    return row["a"], row["b"]


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "table.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("table_format", "text", "rows"),
    [
        (CSV, 'b,a\n2,1\n"x, ""y""",3\n', [("1", "2"), ("3", 'x, "y"')]),
        (CSV, "\ufeffa,b,c\r\n 1 ,2,3\r\n\r\n", [("1", "2")]),
        (TSV, "a\tb\n1\t2", [("1", "2")]),
        (TYPED, 'a:token\tb:float\n1\t2.5\n"\t3\n', [("1", "2.5"), ('"', "3")]),
        (BARE, "1|caf\xe9\n".encode("latin-1"), [("1", "café")]),
        (JSONL, '{"a": 1, "b": "x", "c": [2]}\n', [("1", "x")]),
    ],
)
def test_layouts(tmp_path: Path, table_format: TableFormat, text: str | bytes, rows: list[tuple[str, str]]):
    assert read_table(write(tmp_path, text), table_format, ("a", "b"), take) == (rows, [])


def test_a_bad_row_is_reported_with_file_and_line_and_skipped(tmp_path: Path):
    lines = ["a,b", *(f"{n},{n}" for n in range(200)), "only one", '"open,2', ""]
    rows, rejected = read_table(write(tmp_path, "\n".join(lines)), CSV, ("a", "b"), take)
    assert len(rows) == 200
    assert rejected == [
        RejectedRow("table.txt", 202, "1 cells, expected 2"),
        RejectedRow("table.txt", 203, "not a row of cells: unexpected end of data"),
    ]


def test_an_open_quote_spoils_its_own_line_only(tmp_path: Path):
    lines = ["a,b", '"1,2', *(f"{n},{n}" for n in range(200))]
    rows, rejected = read_table(write(tmp_path, "\n".join(lines)), CSV, ("a", "b"), take)
    assert len(rows) == 200
    assert [row.line for row in rejected] == [2]


def test_one_per_cent_is_the_limit(tmp_path: Path):
    good = [f"{n},{n}" for n in range(99)]
    rows, rejected = read_table(write(tmp_path, "\n".join(["a,b", *good, "x"])), CSV, ("a", "b"), take)
    assert (len(rows), len(rejected)) == (99, 1)
    with pytest.raises(DataError, match=r"2 of 100 rows are bad \(line 100: 1 cells, expected 2; line 101: "):
        read_table(write(tmp_path, "\n".join(["a,b", *good[1:], "x", "y"])), CSV, ("a", "b"), take)


def test_only_the_first_few_bad_rows_are_named(tmp_path: Path):
    with pytest.raises(DataError) as caught:
        read_table(write(tmp_path, "a,b\n" + "x\n" * 50), CSV, ("a", "b"), take)
    assert str(caught.value).count("line ") == 5
    assert "50 of 50 rows are bad" in str(caught.value)


@pytest.mark.parametrize(
    ("table_format", "text"),
    [(CSV, "a,c\n1,2\n"), (TYPED, "a:token\tc:token\n1\t2\n"), (JSONL, '{"a": 1, "c": 2}\n')],
)
def test_a_missing_column_is_named_with_those_found(tmp_path: Path, table_format: TableFormat, text: str):
    with pytest.raises(DataError, match="has no column 'b'; it has a, c"):
        read_table(write(tmp_path, text), table_format, ("a", "b"), take)


@pytest.mark.parametrize("text", ["", "\n\n", "a,b\n"])
def test_a_file_without_rows_is_an_error(tmp_path: Path, text: str):
    with pytest.raises(DataError, match="holds no row"):
        read_table(write(tmp_path, text), CSV, ("a", "b"), take)


def test_the_reason_never_quotes_the_row(tmp_path: Path):
    def refuse(row: Row) -> None:
        raise BadRow("a must be a colour")

    with pytest.raises(DataError) as caught:
        read_table(write(tmp_path, "a,b\nsecret,2\n"), CSV, ("a",), refuse)
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_opened_is_a_data_error(tmp_path: Path):
    with pytest.raises(DataError, match="No such file"):
        read_table(tmp_path / "nothing", CSV, ("a",), take)
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="directory"):
        read_table(tmp_path / "folder", CSV, ("a",), take)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=300), table_format=st.sampled_from([CSV, TSV, TYPED, BARE, JSONL]))
def test_no_bytes_whatever_make_it_crash(tmp_path: Path, content: bytes, table_format: TableFormat):
    path = write(tmp_path, content)
    try:
        rows, rejected = read_table(path, table_format, ("a", "b"), lambda row: row)
    except DataError:
        return
    assert rows
    assert len(rejected) <= 0.01 * (len(rows) + len(rejected))
