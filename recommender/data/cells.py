"""Splits one line of a file into the cells of a row."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

# Text as in the file, or a JSON number with a point or an exponent. Nothing is stripped here: the rule of each value
# decides which space around it is ignored.
Cell = str | Decimal
Row = dict[str, Cell]


class BadRow(ValueError):
    """A row that cannot be used; the message gives the reason without quoting the row."""


@dataclass(frozen=True)
class TableFormat:
    """How the lines of a file become rows.

    Args:
        delimiter: character between cells; None means one JSON object per line.
        quoted: whether cells may be quoted as in CSV, within one line.
        columns: names of the columns; None if the first line names them.
        typed_header: whether the header's cells have the form `name:type`, as in RecBole's atomic files.
        encoding: encoding of the file; undecodable bytes make only their line unusable.
    """

    delimiter: str | None
    quoted: bool = False
    columns: tuple[str, ...] | None = None
    typed_header: bool = False
    encoding: str = "utf-8-sig"


CSV = TableFormat(",", quoted=True)
TSV = TableFormat("\t", quoted=True)
JSONL = TableFormat(None)
# Has columns and no lines.
PARQUET = TableFormat("", columns=())


def header(line: str, table_format: TableFormat) -> tuple[str, ...]:
    """Names of the columns in lower case, without surrounding space.

    Raises:
        BadRow: the line cannot be split.
    """
    cells, problem = _cells(line, table_format)
    if problem is not None:
        raise BadRow(problem)
    return tuple(name_of(cell.split(":")[0] if table_format.typed_header else cell) for cell in cells)


def row(line: str, table_format: TableFormat, columns: Sequence[str]) -> tuple[Row, str | None]:
    """The cells of a line, and what is wrong with it or None; if something is, the cells that could be recognised."""
    if table_format.delimiter is None:
        return _json_row(line)
    cells, problem = _cells(line, table_format)
    if problem is None and len(cells) != len(columns):
        problem = f"{len(cells)} cells, expected {len(columns)}"
    return dict(zip(columns, cells, strict=False)), problem


def name_of(text: str) -> str:
    """The name of a column: in lower case, without surrounding space."""
    # Decoding removes one byte order mark; a file concatenated from several can hold more.
    return text.strip().strip("\ufeff").strip().casefold()


def _cells(line: str, table_format: TableFormat) -> tuple[list[str], str | None]:
    assert table_format.delimiter is not None
    line = line.rstrip("\n")
    if not table_format.quoted:
        return line.split(table_format.delimiter), None
    reader = csv.reader([line], delimiter=table_format.delimiter, skipinitialspace=True, strict=True)
    try:
        return next(reader), None
    except csv.Error as error:
        unclosed = str(error) == "unexpected end of data"
        problem = "a quoted cell does not end in its line" if unclosed else f"not a row of cells: {error}"
        # Usually a stray quote: without quotes, the cells are the text between the delimiters.
        return [cell.replace('"', "") for cell in line.split(table_format.delimiter)], problem


class _Pairs(list[tuple[str, object]]):
    """A JSON object as a list of pairs; a dict would lose names that occur twice."""


def _json_row(line: str) -> tuple[Row, str | None]:
    try:
        content = json.loads(
            line, object_pairs_hook=_Pairs, parse_float=Decimal, parse_constant=lambda _: None
        )
    except (ValueError, ArithmeticError, RecursionError):
        return {}, "not JSON"
    if not isinstance(content, _Pairs):
        return {}, "not a JSON object"
    cells = {name_of(name): _json_cell(value) for name, value in content}
    return cells, "names a column twice" if len(cells) < len(content) else None


def _json_cell(value: object) -> Cell:
    """The cell of a JSON value. Only text and numbers can be an id, a title or a time; others count as missing."""
    if isinstance(value, str | Decimal):
        return value
    return str(value) if type(value) is int else ""
