"""Reading tables line by line, so that a bad line spoils nothing but itself.

One physical line is one row: a stray quote cannot swallow the rest of a file.
"""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from recommender.errors import DataError

MAX_BAD_SHARE = 0.01
_SHOWN = 5

T = TypeVar("T")
Row = dict[str, str]


class RejectedRow(NamedTuple):
    """A line that was skipped, and why. The reason never quotes the row: rows hold user ids."""

    file: str
    line: int
    reason: str


class BadRow(ValueError):
    """Raised by a row parser; the message says what is wrong without quoting the row."""


@dataclass(frozen=True)
class TableFormat:
    """How the lines of a file become rows.

    Args:
        delimiter: between cells; None means one JSON object per line.
        quoted: cells may be quoted as in CSV, within their line.
        columns: names of the columns, or None if the first line names them.
        typed_header: the header's cells look like `name:type`, as in RecBole's atomic files.
        encoding: of the file; undecodable bytes spoil only their line.
    """

    delimiter: str | None
    quoted: bool = False
    columns: tuple[str, ...] | None = None
    typed_header: bool = False
    encoding: str = "utf-8-sig"


CSV = TableFormat(",", quoted=True)
TSV = TableFormat("\t", quoted=True)
JSONL = TableFormat(None)


def read_table(
    path: Path, table_format: TableFormat, required: Sequence[str], parse: Callable[[Row], T]
) -> tuple[list[T], list[RejectedRow]]:
    """Rows that `parse` accepts, in file order, and the lines that were skipped.

    Blank lines do not count as rows.

    Raises:
        DataError: the file cannot be opened, lacks a required column, has over 1 % bad rows or no good one.
    """
    parsed: list[T] = []
    rejected: list[RejectedRow] = []
    columns = table_format.columns
    try:
        # Undecodable bytes become surrogates, which no id or title may hold.
        with path.open(encoding=table_format.encoding, errors="surrogateescape") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    if columns is None:
                        columns = _columns(line, table_format)
                        _require(path, required, columns)
                        if table_format.delimiter is not None:
                            continue
                    parsed.append(parse(_row(line, table_format, columns)))
                except BadRow as error:
                    rejected.append(RejectedRow(path.name, number, str(error)))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    _judge(path, len(parsed), rejected)
    return parsed, rejected


def _columns(line: str, table_format: TableFormat) -> tuple[str, ...]:
    if table_format.delimiter is None:
        return tuple(_json_object(line))
    cells = _cells(line, table_format)
    return tuple(cell.split(":")[0] if table_format.typed_header else cell for cell in cells)


def _require(path: Path, required: Sequence[str], columns: Sequence[str]) -> None:
    for name in required:
        if name not in columns:
            raise DataError(f"{path} has no column {name!r}; it has {', '.join(columns) or 'none'}")


def _row(line: str, table_format: TableFormat, columns: Sequence[str]) -> Row:
    if table_format.delimiter is None:
        return _json_object(line)
    cells = _cells(line, table_format)
    if len(cells) != len(columns):
        raise BadRow(f"{len(cells)} cells, expected {len(columns)}")
    return dict(zip(columns, cells, strict=True))


def _cells(line: str, table_format: TableFormat) -> list[str]:
    assert table_format.delimiter is not None
    line = line.rstrip("\r\n")
    if not table_format.quoted:
        return [cell.strip() for cell in line.split(table_format.delimiter)]
    try:
        return [
            cell.strip() for cell in next(csv.reader([line], delimiter=table_format.delimiter, strict=True))
        ]
    except csv.Error as error:
        raise BadRow(f"not a row of cells: {error}") from error


def _json_object(line: str) -> Row:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadRow("not JSON") from error
    if not isinstance(content, dict):
        raise BadRow("not a JSON object")
    # Only text and numbers can be an id, a title or a time; other values read as absent.
    return {name: str(value).strip() for name, value in content.items() if type(value) in (str, int, float)}


def _judge(path: Path, good: int, rejected: Sequence[RejectedRow]) -> None:
    bad = len(rejected)
    if good and bad <= MAX_BAD_SHARE * (good + bad):
        return
    first = "; ".join(f"line {row.line}: {row.reason}" for row in rejected[:_SHOWN])
    problem = f"{bad} of {good + bad} rows are bad ({first})" if bad else "it holds no row"
    raise DataError(f"{path} cannot be used: {problem}")
