"""One line of a file as the cells of a row."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

# Text as it stands in the file, or a number that JSON writes with a point or an exponent. Nothing is stripped here:
# what counts as space around a value is for the rule of that value to say.
Cell = str | Decimal
Row = dict[str, Cell]


class BadRow(ValueError):
    """A row that cannot be used; the message says why without quoting the row."""


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


def header(line: str, table_format: TableFormat) -> tuple[str, ...]:
    """Names of the columns, without the space around them and in lower case.

    Raises:
        BadRow: the line cannot be split.
    """
    cells, problem = _cells(line, table_format)
    if problem is not None:
        raise BadRow(problem)
    return tuple(_name(cell.split(":")[0] if table_format.typed_header else cell) for cell in cells)


def row(line: str, table_format: TableFormat, columns: Sequence[str]) -> tuple[Row, str | None]:
    """The cells of a line and what is wrong with it, if anything; then the cells are those that could be told."""
    if table_format.delimiter is None:
        return _json_row(line)
    cells, problem = _cells(line, table_format)
    if problem is None and len(cells) != len(columns):
        problem = f"{len(cells)} cells, expected {len(columns)}"
    return dict(zip(columns, cells, strict=False)), problem


def _name(text: str) -> str:
    # A file put together from several can hold more than the one byte order mark that decoding takes away.
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
        # Mostly a stray quote: without it, the cells are those between the delimiters.
        return [cell.replace('"', "") for cell in line.split(table_format.delimiter)], problem


class _Pairs(list[tuple[str, object]]):
    """A JSON object as it is written; a dict would lose names that occur twice."""


def _json_row(line: str) -> tuple[Row, str | None]:
    try:
        content = json.loads(
            line, object_pairs_hook=_Pairs, parse_float=Decimal, parse_constant=lambda _: None
        )
    except (ValueError, ArithmeticError, RecursionError):
        return {}, "not JSON"
    if not isinstance(content, _Pairs):
        return {}, "not a JSON object"
    cells = {_name(name): _json_cell(value) for name, value in content}
    return cells, "names a column twice" if len(cells) < len(content) else None


def _json_cell(value: object) -> Cell:
    """Only text and numbers can be an id, a title or a time; any other value is as good as missing."""
    if isinstance(value, str | Decimal):
        return value
    return str(value) if type(value) is int else ""
