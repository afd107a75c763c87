"""Reads tables line by line, so that a bad line makes no other line unusable.

One physical line is one row: a stray quote does not extend over the rest of a file.
"""

import io
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from recommender.data.cells import BadRow, Row, TableFormat, header, row
from recommender.data.encoding import SAMPLE_BYTES, refuse_what_is_no_text, undecodable, unknown_encoding
from recommender.errors import DataError

MAX_BAD_SHARE = 0.01
_SHOWN = 5
_SHOWN_COLUMNS = 20
_SHOWN_CHARACTERS = 40
_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}

T = TypeVar("T")
# Takes the names of the columns and returns a missing one, or None.
Lacking = Callable[[Collection[str]], str | None]


class RejectedRow(NamedTuple):
    """A line that was skipped, and why. The reason never quotes the row, because rows hold user ids."""

    file: str
    line: int
    reason: str


class Table(NamedTuple, Generic[T]):
    """A file that was read.

    Args:
        rows: results of `parse` for the good rows, in file order.
        rejected: the lines that were skipped.
        skipped: the cells of these lines, as far as they could be recognised.
    """

    rows: list[T]
    rejected: list[RejectedRow]
    skipped: list[Row]


def lacking(*required: str) -> Lacking:
    """A function that returns the first of the required columns that is missing, or None."""
    return lambda columns: next((name for name in required if name not in columns), None)


def read_table(
    path: Path, table_format: TableFormat, lacks: Lacking, parse: Callable[[Row, int], T]
) -> Table[T]:
    """Read a file. `parse` receives the cells and the line number of each row; rows it refuses are skipped.

    Names of columns are in lower case. JSON objects may lack columns. Blank lines do not count as rows.

    Raises:
        DataError: the file cannot be opened, is not text in its encoding, lacks a required column, names a column
            twice, has more than 1 % bad rows, or has no good row.
    """
    try:
        with path.open("rb") as file:
            utf8 = table_format.encoding.startswith("utf-8")
            refuse_what_is_no_text(path, file.peek(SAMPLE_BYTES)[:SAMPLE_BYTES], utf8=utf8)
            # Undecodable bytes become surrogates, which ids and titles must not hold.
            lines = io.TextIOWrapper(file, encoding=table_format.encoding, errors="surrogateescape")
            return _read(path, lines, table_format, lacks, parse)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _read(
    path: Path,
    lines: Iterable[str],
    table_format: TableFormat,
    lacks: Lacking,
    parse: Callable[[Row, int], T],
) -> Table[T]:
    table: Table[T] = Table([], [], [])
    columns = () if table_format.delimiter is None else table_format.columns
    json_columns: dict[str, None] = {}
    empty, spoilt = True, 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        empty = False
        if columns is None:
            columns = _columns(path, line, table_format, lacks)
            continue
        cells, problem = row(line, table_format, columns)
        if table_format.delimiter is None:
            json_columns.update(dict.fromkeys(cells))
        try:
            if problem is not None:
                raise BadRow(problem)
            table.rows.append(parse(cells, number))
        except BadRow as error:
            table.rejected.append(RejectedRow(path.name, number, str(error)))
            table.skipped.append(cells)
            spoilt += undecodable(line)
    if empty:
        raise DataError(f"{path} is empty")
    if json_columns:
        _require(path, lacks, tuple(json_columns))
    _judge(path, len(table.rows), table.rejected, spoilt)
    return table


def _columns(path: Path, line: str, table_format: TableFormat, lacks: Lacking) -> tuple[str, ...]:
    try:
        columns = header(line, table_format)
    except BadRow as error:
        raise DataError(f"the header of {path} cannot be read: {error}") from error
    missing = lacks(columns)
    if missing is not None and undecodable(line):
        raise unknown_encoding(path)
    # If the header is missing, the first line is a row of data with a user id, so it must not be quoted.
    if missing is not None and any(name[:1].isdecimal() for name in columns):
        raise DataError(
            f"the first line of {path} must name the columns, {missing} among them; it holds numbers"
        )
    if missing is not None and len(columns) == 1:
        _refuse_other_delimiter(path, line.strip(), table_format)
    _require(path, lacks, columns)
    twice = [name for name, times in Counter(columns).items() if name and times > 1]
    if twice:
        raise DataError(f"{path} has more than one column called {_listed(twice)}; which one counts?")
    return columns


def _refuse_other_delimiter(path: Path, header_line: str, table_format: TableFormat) -> None:
    assert table_format.delimiter is not None
    expected = _DELIMITERS[table_format.delimiter]
    for delimiter, name in _DELIMITERS.items():
        if delimiter in header_line:
            raise DataError(f"{path} must have its cells separated by {expected}, not by {name}")
    if " " in header_line:
        raise DataError(f"{path} must have its cells separated by {expected}, not by spaces")


def _require(path: Path, lacks: Lacking, columns: Sequence[str]) -> None:
    missing = lacks(columns)
    if missing is not None:
        raise DataError(f"{path} has no column {missing!r}; it has {_listed(columns)}")


def _listed(names: Sequence[str]) -> str:
    shown = ["".join(c if c.isprintable() else "\ufffd" for c in n[:_SHOWN_CHARACTERS]) for n in names]
    more = len(shown) - _SHOWN_COLUMNS
    return ", ".join(shown[:_SHOWN_COLUMNS]) + (f" and {more} more" if more > 0 else "")


def _judge(path: Path, good: int, rejected: Sequence[RejectedRow], spoilt: int) -> None:
    bad = len(rejected)
    if not good and not bad:
        raise DataError(f"{path} holds no row, only a header")
    allowed = MAX_BAD_SHARE * (good + bad)
    if good and bad <= allowed:
        return
    if spoilt > allowed:
        raise unknown_encoding(path)
    counts = Counter(rejected_row.reason for rejected_row in rejected)
    first = {rejected_row.reason: rejected_row.line for rejected_row in reversed(rejected)}
    reasons = [
        f"{reason} ({count}, first in line {first[reason]})" for reason, count in counts.most_common(_SHOWN)
    ]
    more = len(counts) - len(reasons)
    raise DataError(
        f"{path} cannot be used: {bad} of {good + bad} rows are bad: {'; '.join(reasons)}"
        + (f"; and {more} more reasons" if more else "")
    )
