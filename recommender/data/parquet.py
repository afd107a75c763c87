"""Reads Parquet files in bounded memory: a batch of rows at a time, of the wanted columns only."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from recommender.data.batches import note_users
from recommender.data.cells import PARQUET, Row, name_of
from recommender.data.fields import InteractionRows, lacking_for_interactions
from recommender.data.gathered import Gathered
from recommender.data.tables import Lacking, RejectedRow, Table, TableReader, refuse_twice, require_columns
from recommender.data.vectors import COLUMNS, cells_of, read_batch
from recommender.errors import DataError

PARQUET_SUFFIX = ".parquet"
MAGIC = b"PAR1"
ROWS_AT_A_TIME = 1 << 18
_READ_AHEAD_BYTES = 1 << 20
_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
_DATES = (pa.types.is_timestamp, pa.types.is_date)
# What a column may hold, by name; the second is for all others.
_ALLOWED = {"timestamp": ((*_TEXT, *_NUMBERS, *_DATES), "numbers, dates or text")}
_OTHERWISE = ((*_TEXT, *_NUMBERS), "text or numbers")

T = TypeVar("T")


def begins_like_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_rows(
    path: Path, rows: InteractionRows, gathered: Gathered, skipped_users: set[str]
) -> list[RejectedRow]:
    """Read a file of interactions, as `read_lines` does for text. Rows count as lines, from 1 on.

    Raises:
        DataError: it is damaged or no Parquet file; lacks a required column, or has one of a wrong type; more than 1 %
            of its rows are bad, or it has no good row.
    """
    reader = TableReader(path, PARQUET, lacking_for_interactions, rows)
    with _opened(path) as file:
        columns = _columns(path, file.schema_arrow, lacking_for_interactions, COLUMNS)
        for cells, count in _batches(file, columns):
            batch = read_batch(cells, rows, gathered, reader.number + 1)
            if batch is None:
                gathered.add_rows(path.name, reader.feed_rows(_rows_of(cells, count)))
            else:
                gathered.add(path.name, batch)
                reader.passed(count)
            note_users(reader, skipped_users)
    reader.finish()
    return reader.rejected


def read_parquet_table(
    path: Path,
    lacks: Lacking,
    parse: Callable[[Row, int], T],
    wanted: Callable[[Sequence[str]], Sequence[str]],
    *,
    only_plain: bool = False,
) -> Table[T]:
    """Read a smaller file, as `read_table` does for text.

    Args:
        wanted: of the names of the columns, those to read.
        only_plain: whether columns that are not required are left out where they hold neither text nor numbers.

    Raises:
        DataError: as `read_rows`.
    """
    reader = TableReader(path, PARQUET, lacks, parse)
    good: list[T] = []
    with _opened(path) as file:
        names = [name_of(field.name) for field in file.schema_arrow]
        columns = _columns(path, file.schema_arrow, lacks, wanted(names), only_plain=only_plain)
        for cells, count in _batches(file, columns):
            good += reader.feed_rows(_rows_of(cells, count))
    reader.finish()
    return Table(good, reader.rejected, reader.skipped)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        # Not the system's file: a row group may be as large as the file, and is then read in pieces.
        with path.open("rb") as source, pq.ParquetFile(source, buffer_size=_READ_AHEAD_BYTES) as file:
            yield file
    except pa.ArrowException as error:
        raise _damaged(path) from error
    except OSError as error:
        # The library says what is wrong with the content by the same exception, without a number.
        if error.errno is None:
            raise _damaged(path) from error
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _damaged(path: Path) -> DataError:
    if not begins_like_parquet(path):
        return DataError(f"{path} is no Parquet file, although its name says so; unpack or convert it first")
    return DataError(f"{path} is a Parquet file that is cut off or damaged; copy or write it anew")


def _columns(
    path: Path, schema: pa.Schema, lacks: Lacking, wanted: Sequence[str], *, only_plain: bool = False
) -> dict[str, str]:
    """By our name, what the file calls each wanted column that it has."""
    names = [name_of(field.name) for field in schema]
    require_columns(path, lacks, names)
    refuse_twice(path, names)
    found = {}
    for name, field in zip(names, schema, strict=True):
        allowed, said = _ALLOWED.get(name, _OTHERWISE)
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if name not in wanted:
            continue
        if pa.types.is_null(kind) or any(is_one(kind) for is_one in allowed):
            found[name] = field.name
        elif not only_plain or lacks([other for other in names if other != name]) is not None:
            raise DataError(f"{path}: the column {name!r} holds {_kind(kind)}; it must hold {said}")
    return found


def _kind(kind: pa.DataType) -> str:
    return f"nested values ({kind})"[:80] if pa.types.is_nested(kind) else f"values of type {kind}"


def _batches(file: pq.ParquetFile, columns: Mapping[str, str]) -> Iterator[tuple[dict[str, pa.Array], int]]:
    for batch in file.iter_batches(ROWS_AT_A_TIME, columns=list(columns.values()), use_threads=False):
        yield {name: _plain(batch.column(theirs)) for name, theirs in columns.items()}, batch.num_rows


def _plain(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_null(array.type) or any(is_one(array.type) for is_one in _TEXT):
        return array.cast(pa.string())
    return array


def _rows_of(cells: Mapping[str, pa.Array], count: int) -> Iterator[Row]:
    columns = {name: cells_of(array) for name, array in cells.items()}
    return ({name: column[row] for name, column in columns.items()} for row in range(count))
