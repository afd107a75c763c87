from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommender import DataError, RejectedRow
from recommender.data.cells import CSV, JSONL, TSV, BadRow, Cell, Row, TableFormat
from recommender.data.tables import Table, lacking, read_table

TYPED = TableFormat("\t", typed_header=True)
BARE = TableFormat("|", columns=("a", "b"), encoding="latin-1")
LACKS = lacking("a", "b")


def take(row: Row, line: int) -> tuple[Cell, Cell]:
    return row.get("a", ""), row.get("b", "")


def read(path: Path, table_format: TableFormat) -> Table[tuple[Cell, Cell]]:
    return read_table(path, table_format, LACKS, take)


def refused(path: Path, table_format: TableFormat) -> str:
    with pytest.raises(DataError) as caught:
        read(path, table_format)
    return str(caught.value)


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "table.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("table_format", "text", "rows"),
    [
        (CSV, 'b,a\n2,1\n"x, ""y""",3\n', [("1", "2"), ("3", 'x, "y"')]),
        (CSV, "\ufeff a ,\ufeffB,c\r\n 1 ,2,3\r\n\r\n", [("1 ", "2")]),
        (CSV, 'a, "b"\n1, "x, y"\n', [("1", "x, y")]),
        (CSV, "a,b,,\n1,2,,\n", [("1", "2")]),
        (TSV, "a\tb\n1\t2", [("1", "2")]),
        (TYPED, 'a:token\tb:float\n1\t2.5\n"\t3\n', [("1", "2.5"), ('"', "3")]),
        (BARE, "1|caf\xe9\n".encode("latin-1"), [("1", "café")]),
        (JSONL, '{"a": 1, "b": "x", "c": [2]}\n', [("1", "x")]),
        (JSONL, '{"A": 1.50, " b": "x "}\n', [(Decimal("1.50"), "x ")]),
        (JSONL, '{"a": NaN, "b": null}\n{"a": true, "b": {"c": 1}}\n', [("", ""), ("", "")]),
    ],
)
def test_layouts(tmp_path: Path, table_format: TableFormat, text: str | bytes, rows: list[tuple[str, str]]):
    assert read(write(tmp_path, text), table_format) == (rows, [], [])


def test_a_bad_row_is_reported_with_file_and_line_and_skipped(tmp_path: Path):
    lines = ["a,b", *(f"{n},{n}" for n in range(200)), "only one", '"open,2', ""]
    rows, rejected, skipped = read(write(tmp_path, "\n".join(lines)), CSV)
    assert len(rows) == 200
    assert rejected == [
        RejectedRow("table.txt", 202, "1 cells, expected 2"),
        RejectedRow("table.txt", 203, "a quoted cell does not end in its line"),
    ]
    assert skipped == [{"a": "only one"}, {"a": "open", "b": "2"}]


def test_an_open_quote_spoils_its_own_line_only(tmp_path: Path):
    lines = ["a,b", '"1,2', *(f"{n},{n}" for n in range(200))]
    rows, rejected, skipped = read(write(tmp_path, "\n".join(lines)), CSV)
    assert len(rows) == 200
    assert [row.line for row in rejected] == [2]
    assert skipped == [{"a": "1", "b": "2"}]


def test_one_per_cent_is_the_limit(tmp_path: Path):
    good = [f"{n},{n}" for n in range(99)]
    rows, rejected, _ = read(write(tmp_path, "\n".join(["a,b", *good, "x"])), CSV)
    assert (len(rows), len(rejected)) == (99, 1)
    message = refused(write(tmp_path, "\n".join(["a,b", *good[1:], "x", "y"])), CSV)
    assert "2 of 100 rows are bad: 1 cells, expected 2 (2, first in line 100)" in message


def test_bad_rows_are_counted_by_reason_and_only_the_most_frequent_are_named(tmp_path: Path):
    lines = [",".join("x" * cells) for cells in (1, 1, 3, 4, 5, 6, 7, 8)]
    message = refused(write(tmp_path, "\n".join(["a,b", *lines])), CSV)
    assert (
        "8 of 8 rows are bad: 1 cells, expected 2 (2, first in line 2); 3 cells, expected 2 (1, " in message
    )
    assert message.endswith("; and 2 more reasons")


@pytest.mark.parametrize(
    ("table_format", "text"),
    [(CSV, "a,c\n1,2\n"), (TYPED, "a:token\tc:token\n1\t2\n"), (JSONL, '{"a": 1, "c": 2}\n')],
)
def test_a_missing_column_is_named_with_those_found(tmp_path: Path, table_format: TableFormat, text: str):
    assert "has no column 'b'; it has a, c" in refused(write(tmp_path, text), table_format)


@pytest.mark.parametrize("table_format", [CSV, TSV, TYPED, BARE, JSONL])
@pytest.mark.parametrize("text", ["", "\n\n", " \r\n"])
def test_an_empty_file_is_an_error(tmp_path: Path, table_format: TableFormat, text: str):
    path = write(tmp_path, text.encode(table_format.encoding))
    assert refused(path, table_format) == f"{path} is empty"


def test_a_header_alone_is_an_error(tmp_path: Path):
    assert "holds no row, only a header" in refused(write(tmp_path, "a,b\n"), CSV)


@pytest.mark.parametrize(
    ("table_format", "text"),
    [
        (CSV, "a,b,A \n1,2,3\n"),
        (TYPED, "a:token\tb:token\ta:float\n1\t2\t3\n"),
        (TSV, "a\tb\t\ufeffa\n1\t2\t3\n"),
    ],
)
def test_a_column_that_is_named_twice_is_refused(tmp_path: Path, table_format: TableFormat, text: str):
    assert "more than one column called a;" in refused(write(tmp_path, text), table_format)


def test_a_json_object_that_names_a_column_twice_is_a_bad_row(tmp_path: Path):
    lines = ['{"a": 1, "b": 2}'] * 200 + ['{"a": 1, "A": 2, "b": 3}']
    rows, rejected, _ = read(write(tmp_path, "\n".join(lines)), JSONL)
    assert len(rows) == 200
    assert rejected == [RejectedRow("table.txt", 201, "names a column twice")]


@pytest.mark.parametrize(
    ("table_format", "text", "message"),
    [
        (CSV, "a;b\nx;2\n", "separated by commas, not by semicolons"),
        (CSV, "a\tb\nx\t2\n", "separated by commas, not by tabs"),
        (TSV, "a,b\nx,2\n", "separated by tabs, not by commas"),
        (TYPED, "a:token,b:token\nx,2\n", "separated by tabs, not by commas"),
        (TYPED, "a b\nx 2\n", "separated by tabs, not by spaces"),
    ],
)
def test_another_delimiter_than_the_suffix_says_is_named(
    tmp_path: Path, table_format: TableFormat, text: str, message: str
):
    assert message in refused(write(tmp_path, text), table_format)


@pytest.mark.parametrize("first", ["secret,x,10", "secret;x;10", "secret,x,2024-01-01"])
def test_a_file_without_a_header_does_not_have_its_first_row_quoted(tmp_path: Path, first: str):
    message = refused(write(tmp_path, f"{first}\nann,y,20\n"), CSV)
    assert "secret" not in message
    assert "must" in message


def test_a_header_that_cannot_be_split_is_an_error_and_no_row_takes_its_place(tmp_path: Path):
    assert "header" in refused(write(tmp_path, '"a,b\na,b\n1,2\n'), CSV)


def test_a_long_or_unprintable_header_is_not_listed_whole(tmp_path: Path):
    header = ",".join(["x" * 500, "bell\x07", *(f"c{n}" for n in range(100))])
    message = refused(write(tmp_path, header + "\n"), CSV)
    assert len(message.replace(str(tmp_path), "")) < 300
    assert message.isprintable()
    assert message.endswith("and 82 more")


def test_the_reason_never_quotes_the_row(tmp_path: Path):
    def refuse(row: Row, line: int) -> None:
        raise BadRow("a must be a colour")

    with pytest.raises(DataError) as caught:
        read_table(write(tmp_path, "a,b\nsecret,2\n"), CSV, LACKS, refuse)
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_opened_is_a_data_error(tmp_path: Path):
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "nothing", CSV)
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="directory"):
        read(tmp_path / "folder", CSV)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=300), table_format=st.sampled_from([CSV, TSV, TYPED, BARE, JSONL]))
def test_no_bytes_whatever_make_it_crash(tmp_path: Path, content: bytes, table_format: TableFormat):
    path = write(tmp_path, content)
    try:
        rows, rejected, skipped = read_table(path, table_format, LACKS, lambda row, line: row)
    except DataError:
        return
    assert rows
    assert len(rejected) == len(skipped)
    assert len(rejected) <= 0.01 * (len(rows) + len(rejected))
