"""Reads tables line by line, so that a bad line makes no other line unusable.

One physical line is one row: a stray quote does not extend over the rest of a file.
"""

import io
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
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
    with open_text(path, table_format) as file:
        reader = TableReader(path, table_format, lacks, parse)
        # Named, so that it outlives the block: nobody but the block closes the file.
        lines = decoded(file, table_format.encoding)
        rows = reader.feed(lines)
        reader.finish()
        return Table(rows, reader.rejected, reader.skipped)


@contextmanager
def open_text(path: Path, table_format: TableFormat) -> Iterator[BufferedReader]:
    """A file of text, open for reading.

    Raises:
        DataError: it cannot be opened or, inside the block, read; or it is not text in its encoding.
    """
    try:
        with path.open("rb") as file:
            utf8 = table_format.encoding.startswith("utf-8")
            refuse_what_is_no_text(path, file.peek(SAMPLE_BYTES)[:SAMPLE_BYTES], utf8=utf8)
            yield file
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def decoded(file: BufferedReader | io.BytesIO, encoding: str) -> Iterable[str]:
    """The lines of a file. Undecodable bytes become surrogates, which ids and titles must not hold."""
    return io.TextIOWrapper(file, encoding=encoding, errors="surrogateescape")


class TableReader(Generic[T]):
    """Reads a file's rows, some at a time, and keeps account of them.

    Args:
        path: the file that messages name.
        table_format: how lines become rows.
        lacks: says which required column is missing.
        parse: makes something of a row's cells and its line, or raises `BadRow`.

    Attributes:
        columns: the names of the columns; None before the header was read. Those of JSON are not kept here.
        number: how many lines were read.
        rejected: the lines that were skipped.
        skipped: the cells of these lines; whoever has seen them may clear the list.
    """

    def __init__(
        self, path: Path, table_format: TableFormat, lacks: Lacking, parse: Callable[[Row, int], T]
    ) -> None:
        self._path = path
        self._format = table_format
        self._lacks = lacks
        self._parse = parse
        self.columns = () if table_format.delimiter is None else table_format.columns
        self.number = 0
        self.rejected: list[RejectedRow] = []
        self.skipped: list[Row] = []
        self._json_columns: dict[str, None] = {}
        self._reasons: dict[str, str] = {}
        self._good = self._spoilt = 0
        self._empty = True

    def feed(self, lines: Iterable[str]) -> list[T]:
        """The good rows of the next lines.

        Raises:
            DataError: the header among them cannot be used.
        """
        found: list[T] = []
        for line in lines:
            self.number += 1
            if not line.strip():
                continue
            self._empty = False
            if self.columns is None:
                self.columns = _columns(self._path, line, self._format, self._lacks)
                continue
            cells, problem = row(line, self._format, self.columns)
            if self._format.delimiter is None:
                self._json_columns.update(dict.fromkeys(cells))
            self._take(cells, problem, line, found)
        return found

    def feed_rows(self, rows: Iterable[Row]) -> list[T]:
        """The good ones of the next rows of a file without lines; each counts as a line."""
        found: list[T] = []
        for cells in rows:
            self.number += 1
            self._empty = False
            self._take(cells, None, "".join(map(str, cells.values())), found)
        return found

    def passed(self, count: int) -> None:
        """Account for rows that were read elsewhere, a line each, and were all good."""
        self.number += count
        self._good += count
        self._empty = self._empty and not count

    def finish(self) -> None:
        """Judge the whole file.

        Raises:
            DataError: it is empty, lacks a required column, has more than 1 % bad rows, or has no good row.
        """
        if self._empty:
            raise DataError(f"{self._path} is empty")
        if self._json_columns:
            require_columns(self._path, self._lacks, tuple(self._json_columns))
        judge(self._path, self._good, self.rejected, self._spoilt)

    def _take(self, cells: Row, problem: str | None, text: str, found: list[T]) -> None:
        try:
            if problem is not None:
                raise BadRow(problem)
            found.append(self._parse(cells, self.number))
            self._good += 1
        except BadRow as error:
            # One string per reason, since there may be many rows.
            reason = self._reasons.setdefault(str(error), str(error))
            self.rejected.append(RejectedRow(self._path.name, self.number, reason))
            self.skipped.append(cells)
            self._spoilt += undecodable(text)


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
    require_columns(path, lacks, columns)
    refuse_twice(path, columns)
    return columns


def refuse_twice(path: Path, columns: Sequence[str]) -> None:
    """Check that no column is there twice.

    Raises:
        DataError: one is.
    """
    twice = [name for name, times in Counter(columns).items() if name and times > 1]
    if twice:
        raise DataError(f"{path} has more than one column called {_listed(twice)}; which one counts?")


def _refuse_other_delimiter(path: Path, header_line: str, table_format: TableFormat) -> None:
    assert table_format.delimiter is not None
    expected = _DELIMITERS[table_format.delimiter]
    for delimiter, name in _DELIMITERS.items():
        if delimiter in header_line:
            raise DataError(f"{path} must have its cells separated by {expected}, not by {name}")
    if " " in header_line:
        raise DataError(f"{path} must have its cells separated by {expected}, not by spaces")


def require_columns(path: Path, lacks: Lacking, columns: Sequence[str]) -> None:
    """Check that the required columns are there.

    Raises:
        DataError: one is missing; the message lists what is there.
    """
    missing = lacks(columns)
    if missing is not None:
        raise DataError(f"{path} has no column {missing!r}; it has {_listed(columns)}")


def _listed(names: Sequence[str]) -> str:
    shown = ["".join(c if c.isprintable() else "\ufffd" for c in n[:_SHOWN_CHARACTERS]) for n in names]
    more = len(shown) - _SHOWN_COLUMNS
    return ", ".join(shown[:_SHOWN_COLUMNS]) + (f" and {more} more" if more > 0 else "")


def judge(path: Path, good: int, rejected: Sequence[RejectedRow], spoilt: int = 0) -> None:
    """Check that no more than 1 % of a file's rows are bad.

    Args:
        good: the number of good rows.
        rejected: the bad ones.
        spoilt: how many of these hold undecodable bytes.

    Raises:
        DataError: there are more, or there is no good row; the message counts the reasons.
    """
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
