"""Whole batches are read as row after row would be."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommender import DataError, InteractionData, load_interactions
from recommender.data import batches
from recommender.data.assembly import assemble
from recommender.data.cells import CSV, TSV, TableFormat
from recommender.data.fields import InteractionRows, lacking_for_interactions, user_of
from recommender.data.gathered import Gathered
from recommender.data.tables import read_table

RECBOLE = TableFormat("\t", typed_header=True)


def row_by_row(path: Path, table_format: TableFormat) -> InteractionData:
    rows, gathered = InteractionRows(path.name), Gathered()
    table = read_table(path, table_format, lacking_for_interactions, rows)
    gathered.add_rows(path.name, table.rows)
    users = [user for row in table.skipped if (user := user_of(row)) is not None]
    warnings = [*rows.warnings(), *rows.times.guess(path.name)]
    return assemble(gathered, {}, table.rejected, warnings, users)


def outcome(read: object) -> object:
    """What was read, as something that two ways of reading can be compared by."""
    try:
        data = read()  # type: ignore[operator]
    except DataError as error:
        return str(error)
    return (
        list(data.histories.items()),
        data.catalogue.item_ids,
        data.rejected,
        data.warnings,
        data.skipped_users,
        dict(data.ratings),
        dict(data.splits),
    )


def both_ways(path: Path, table_format: TableFormat) -> None:
    assert outcome(lambda: load_interactions(path)) == outcome(lambda: row_by_row(path, table_format))


@pytest.fixture(params=[40, 200, batches.BATCH_BYTES])
def in_batches_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so many bytes, so that a small file has many."""
    monkeypatch.setattr(batches, "BATCH_BYTES", request.param)


HEADER = "user_id,item_id,timestamp,rating,split\n"
ORDINARY = "".join(f"u{n % 7},i{n % 5},{n},{n % 3},train\n" for n in range(40))


@pytest.mark.usefixtures("in_batches_of")
@pytest.mark.parametrize(
    "rows",
    [
        ORDINARY,
        ORDINARY.rstrip("\n"),
        ORDINARY.replace("\n", "\r\n"),
        ORDINARY.replace("\n", "\r\n").removesuffix("\r\n"),
        ORDINARY.replace("\n", "\r"),
        ORDINARY * 6 + "u1,,3,1,train\n" + ORDINARY,
        ORDINARY * 6 + "u1,i1,3,1\n" + ORDINARY,
        ORDINARY * 6 + '"u1",i1,3,1,test\n' + ORDINARY,
        ORDINARY * 6 + '"u1,i1,3,1,test\n' + ORDINARY,
        ORDINARY * 6 + "\n   \n" + ORDINARY,
        "\n\n" + ORDINARY,
        ORDINARY + "\n\n",
        ORDINARY * 6 + "u1\r,i1,3,1,valid\n" + ORDINARY,
        ORDINARY + "\ufeffu1,i1,3,1,valid\n" + ORDINARY,
        ORDINARY + "42.0,i1,3,,\n42,i1,4,nan,Dev\n" + ORDINARY,
        ORDINARY + "Zoe\u0308,Ame\u0301lie,3,x,mine\n" + ORDINARY,
        ORDINARY + "u1,i1,1700000000000,5,train\nu2,i2,1700000000001.0,5,train\n",
        ORDINARY + "u1,i1,2024-01-01,5,train\nu2,i2,2024-01-01T00:00,5,train\nu3,i1,17.5,5,\n",
        ORDINARY + "u1,i1,99999999999,5,\nu2,i1,20240101123000,5,\nu2,i2,99999999999999999999,5,\n",
        ORDINARY + "u1,i1,0x10,5,\n" * 1 + ORDINARY * 4,
        ORDINARY + "u1,i1,١٢,5,\n" + ORDINARY * 4,
        ORDINARY + "u1,i1,+3,5,\nu1,i3,007,1e1,\n" + ORDINARY,
        ORDINARY + "\tu1,i1,3,5,\n" + ORDINARY * 4,
        ORDINARY + "u1\0,i1,3,5,\n" + ORDINARY * 4,
        "u1,i1,never,5,\n" * 30,
        "",
    ],
)
def test_a_file_is_read_as_row_by_row(tmp_path: Path, rows: str):
    path = tmp_path / "interactions.csv"
    path.write_bytes((HEADER + rows).encode())
    both_ways(path, CSV)
    path = tmp_path / "interactions.tsv"
    path.write_bytes((HEADER + rows).replace(",", "\t").encode())
    both_ways(path, TSV)


@pytest.mark.usefixtures("in_batches_of")
def test_quotes_of_recbole_and_undecodable_bytes_are_read_as_row_by_row(tmp_path: Path):
    header = b"user_id:token\titem_id:token\ttimestamp:float\tnote:token\n"
    good = b"".join(b'"u%d\t"x\t%d.0\t"\n' % (n, n) for n in range(300))
    path = tmp_path / "a.inter"
    path.write_bytes(header + good + b"Zo\xeb\tx\t1\t\nann\tx\t2\td\xe9j\xe0\n" + good)
    both_ways(path, RECBOLE)


def test_a_line_that_is_longer_than_a_cell_may_be_is_a_bad_row(tmp_path: Path):
    path = tmp_path / "i.csv"
    good = "".join(f"u{n},x,{n},\n" for n in range(200))
    path.write_text("user_id,item_id,timestamp,note\n" + good + "u,x,1," + "x" * 140_000 + "\n")
    both_ways(path, CSV)
    assert [row.line for row in load_interactions(path).rejected] == [202]


CELL = st.one_of(
    st.sampled_from(
        ["u1", "u2", "42", "42.0", "", "nan", "i1", "1.2e+16", "é", "e\u0301", '"', '"a"', " x "]
    ),
    st.text(max_size=3),
)
TIME = st.one_of(
    st.sampled_from(
        ["1", "2", "3", "1700000000000", "2024-01-01", "2024-01-01T00:00", "1.5", "7.0", "", "x"]
    ),
    st.integers(0, 10**20).map(str),
)
ROWS = st.lists(st.tuples(CELL, CELL, TIME, st.sampled_from(["", "4", "x"])), min_size=1, max_size=8)
END = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=ROWS, end=END, good=st.sampled_from([0, 3, 300]))
def test_any_file_is_read_as_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[tuple[str, ...]], end: str, good: int
):
    monkeypatch.setattr(batches, "BATCH_BYTES", 256)
    text = "user_id,item_id,timestamp,rating" + end + "g,h,5,3\n" * good
    path = tmp_path / "i.csv"
    path.write_bytes((text + end.join(",".join(row) for row in rows)).encode(errors="surrogatepass"))
    both_ways(path, CSV)
