"""Reads files of interactions in bounded memory, a batch of some megabytes at a time."""

import csv
import io
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv

from recommender.data.cells import TableFormat
from recommender.data.fields import InteractionRows, lacking_for_interactions, user_of
from recommender.data.gathered import Gathered
from recommender.data.interactions import Interaction
from recommender.data.tables import RejectedRow, TableReader, decoded, open_text
from recommender.data.vectors import COLUMNS, read_batch

BATCH_BYTES = 8 << 20
_LINE = re.compile(rb"[^\r\n]*(\r\n|\r|\n|\Z)")


def read_lines(
    path: Path, table_format: TableFormat, rows: InteractionRows, gathered: Gathered, skipped_users: set[str]
) -> list[RejectedRow]:
    """Read a file of text. Batches of well-formed rows are read at once, the others row by row.

    Args:
        rows: the columns of the file, which count what is odd.
        gathered: receives the good rows.
        skipped_users: receives the users of the others.

    Returns:
        The lines that were skipped.

    Raises:
        DataError: the file cannot be used (see `read_table`).
    """
    reader = TableReader(path, table_format, lacking_for_interactions, rows)
    encoding = table_format.encoding
    with open_text(path, table_format) as file:
        for data in _whole_lines(file):
            while reader.columns is None and data:
                # The header, and blank lines before it.
                line = _LINE.match(data)
                assert line is not None
                gathered.add_rows(path.name, _read_each(reader, line[0], encoding))
                data, encoding = data[line.end() :], encoding.removesuffix("-sig")
            first_line = reader.number + 1
            cells = _cells(data, table_format, reader.columns or ())
            batch = None if cells is None else read_batch(cells, rows, gathered, first_line)
            if batch is None:
                gathered.add_rows(path.name, _read_each(reader, data, encoding))
            else:
                gathered.add(path.name, batch)
                reader.passed(len(batch.users))
            encoding = encoding.removesuffix("-sig")
            note_users(reader, skipped_users)
    reader.finish()
    return reader.rejected


def note_users(reader: TableReader[Interaction], users: set[str]) -> None:
    """Keep of skipped rows nothing but whose they were, as far as they say so."""
    users.update(user for row in reader.skipped if (user := user_of(row)) is not None)
    reader.skipped.clear()


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """The file in pieces that end where a line does."""
    rest = b""
    while data := file.read(BATCH_BYTES):
        data = rest + data
        end = data.rfind(b"\n") + 1
        if not end:
            # Old files end their lines with a carriage return alone; the last byte may be half of a line end.
            end = data.rfind(b"\r", 0, -1) + 1
        rest = data[end:]
        if end:
            yield data[:end]
    if rest:
        yield rest


def _read_each(reader: TableReader[Interaction], data: bytes, encoding: str) -> list[Interaction]:
    return reader.feed(decoded(io.BytesIO(data), encoding))


def _cells(data: bytes, table_format: TableFormat, names: Sequence[str]) -> dict[str, pa.Array] | None:
    """The wanted columns as text; None if not every line is simply so many cells between delimiters."""
    if table_format.delimiter is None or not data or _needs_care(data, table_format):
        return None
    wanted = {name: str(names.index(name)) for name in COLUMNS if name in names}
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            # Names need not differ, but for the wanted ones.
            pa.csv.ReadOptions(
                use_threads=False, block_size=len(data) + 1, column_names=[str(n) for n in range(len(names))]
            ),
            pa.csv.ParseOptions(
                delimiter=table_format.delimiter,
                quote_char=False,
                double_quote=False,
                ignore_empty_lines=False,
            ),
            pa.csv.ConvertOptions(
                include_columns=list(wanted.values()),
                column_types=dict.fromkeys(wanted.values(), pa.string()),
                strings_can_be_null=False,
                null_values=[],
            ),
        )
    except pa.ArrowException:
        return None
    if table.num_rows != data.count(b"\n") + (not data.endswith(b"\n")):
        return None
    return {name: table.column(number).combine_chunks() for name, number in wanted.items()}


def _needs_care(data: bytes, table_format: TableFormat) -> bool:
    """Whether a batch may hold what a line-by-line reader takes differently: quotes, line ends, very long lines."""
    if table_format.quoted and b'"' in data:
        return True
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        return True
    if data.startswith(BOM_UTF8):
        # The library drops it; within a file it belongs to the first cell.
        return True
    if not table_format.encoding.startswith("utf-8") and not data.isascii():
        return True
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    return int(np.diff(ends, prepend=-1, append=len(data)).max()) > csv.field_size_limit()
