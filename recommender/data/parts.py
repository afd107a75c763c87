"""Folders of parts, as Spark and its kin write a table: `part-00000-….parquet`, `part-00001-….parquet` and so on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recommender.errors import DataError

_PREFIX = "part-"


def is_part(file: Path) -> bool:
    """Whether a file's name is that of a part. Marks such as `_SUCCESS` and `.part-0.crc` are no parts."""
    return file.name.startswith(_PREFIX)


def parts_with_rows(parts: Sequence[Path]) -> tuple[Path, ...]:
    """The parts of one table in their order, without those that hold no row: a partition without rows has one too.

    Where none has a row, the first part alone, so that its reader says so.

    Raises:
        DataError: the parts are of several kinds.
        OSError: a part cannot be read.
    """
    kinds = sorted({file.suffix for file in parts})
    if len(kinds) > 1:
        listed = ", ".join(kinds)
        raise DataError(
            f"{parts[0].parent} holds parts of several kinds ({listed}): leave those of one kind there"
        )
    ordered = sorted(parts, key=lambda file: file.name)
    return tuple(file for file in ordered if _has_rows(file)) or (ordered[0],)


def _has_rows(file: Path) -> bool:
    if file.suffix == ".parquet":
        try:
            return bool(pq.read_metadata(file).num_rows)
        except pa.ArrowException:
            # Its reader says what is wrong with it.
            return True
    wanted = 1 if file.suffix == ".jsonl" else 2
    with file.open("rb") as lines:
        return len(list(islice((line for line in lines if line.strip()), wanted))) == wanted
