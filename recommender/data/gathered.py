"""Interactions while they are read: one array per column, a piece per batch, so that a row takes some 20 bytes."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recommender.data.columns import SPLITS
from recommender.data.interactions import Interaction
from recommender.data.times import NANOSECONDS

# Per column the type of its numbers, and what stands for the rows of batches that do not have it.
_TYPES: dict[str, tuple[type[np.generic], float]] = {
    "users": (np.int32, 0),
    "items": (np.int32, 0),
    "seconds": (np.int64, 0),
    "subseconds": (np.int32, 0),
    "ratings": (np.float64, np.nan),
    "splits": (np.int8, -1),
}
# Stands for the lines of a batch: the first of consecutive ones, or every one of them.
Lines = int | np.ndarray


class Batch(NamedTuple):
    """The good rows of a batch, in the order of the file.

    Args:
        users: `(rows,)` int32, numbers of `Gathered.users`.
        items: `(rows,)` int32, numbers of `Gathered.items`.
        seconds: `(rows,)` int64, since 1970.
        subseconds: `(rows,)` int32, nanoseconds of the second; None where all are 0.
        ratings: `(rows,)` float64 with NaN where there is none; None where there is none at all.
        splits: `(rows,)` int8, positions in `SPLITS` or -1; None where there is none at all.
        lines: where the rows stand in the file.
    """

    users: np.ndarray
    items: np.ndarray
    seconds: np.ndarray
    subseconds: np.ndarray | None
    ratings: np.ndarray | None
    splits: np.ndarray | None
    lines: Lines


class Numbering:
    """Numbers ids from 0 in the order in which they appear."""

    def __init__(self) -> None:
        self.number_of: dict[str, int] = {}

    def number(self, id_: str) -> int:
        """The number of an id."""
        return self.number_of.setdefault(id_, len(self.number_of))


class Gathered:
    """All rows of a data set that were good, in the order in which they were read."""

    def __init__(self) -> None:
        self.users = Numbering()
        self.items = Numbering()
        self.rows = 0
        self._pieces: dict[str, list[np.ndarray | None]] = {name: [] for name in _TYPES}
        # Of each batch: the first of its rows here, its file, and where it stands in the file.
        self._starts: list[int] = []
        self._files: list[str] = []
        self._lines: list[Lines] = []

    def add(self, file: str, batch: Batch) -> None:
        """Add a batch of a file."""
        if not len(batch.users):
            return
        for name, pieces in self._pieces.items():
            pieces.append(getattr(batch, name))
        self._starts.append(self.rows)
        self._files.append(file)
        self._lines.append(batch.lines)
        self.rows += len(batch.users)

    def add_rows(self, file: str, rows: Sequence[Interaction]) -> None:
        """Add rows of a file that were read one by one."""
        if not rows:
            return
        times = [divmod(row.nanoseconds, NANOSECONDS) for row in rows]
        subseconds = np.fromiter((part for _, part in times), np.int32, len(rows))
        ratings = [row.rating for row in rows]
        splits = [row.split for row in rows]
        self.add(
            file,
            Batch(
                np.fromiter((self.users.number(row.user_id) for row in rows), np.int32, len(rows)),
                np.fromiter((self.items.number(row.item_id) for row in rows), np.int32, len(rows)),
                np.fromiter((second for second, _ in times), np.int64, len(rows)),
                subseconds if subseconds.any() else None,
                None if set(ratings) == {None} else np.array(ratings, dtype=np.float64),
                None
                if set(splits) == {None}
                else np.array([-1 if split is None else SPLITS.index(split) for split in splits], np.int8),
                np.fromiter((row.line for row in rows), np.int64, len(rows)),
            ),
        )

    def take(self, name: str) -> np.ndarray | None:
        """One column of all rows, once: it is kept no longer here. None where no batch has it.

        Args:
            name: of a field of `Batch`.
        """
        pieces = self._pieces.pop(name)
        if all(piece is None for piece in pieces):
            return None
        dtype, missing = _TYPES[name]
        column = np.full(self.rows, missing, dtype)
        for number, start in enumerate(self._starts):
            # Let go at once: together, pieces and column would take twice the memory.
            piece, pieces[number] = pieces[number], None
            if piece is not None:
                column[start : start + len(piece)] = piece
        return column

    def place(self, row: int) -> tuple[str, int]:
        """File and line of a row."""
        batch = bisect_right(self._starts, row) - 1
        lines, within = self._lines[batch], row - self._starts[batch]
        return self._files[batch], lines + within if isinstance(lines, int) else int(lines[within])

    def files(self) -> list[tuple[str, int, int]]:
        """Per file its name and its rows, from and up to, in reading order."""
        found: list[tuple[str, int, int]] = []
        for number, (file, start) in enumerate(zip(self._files, self._starts, strict=True)):
            end = self._starts[number + 1] if number + 1 < len(self._starts) else self.rows
            if found and found[-1][0] == file:
                found[-1] = (file, found[-1][1], end)
            else:
                found.append((file, start, end))
        return found
