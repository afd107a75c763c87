"""Reads a batch of well-formed rows at once, with what `columns` makes of each distinct cell.

A batch in which any cell is bad is not read here: its rows go through the code for single rows, which reports them.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inputs import TIME_UNITS
from recommender.data.cells import BadRow, Cell
from recommender.data.columns import SPLITS, IdColumn, RatingColumn, SplitColumn, TimeColumn
from recommender.data.fields import InteractionRows
from recommender.data.gathered import Batch, Gathered, Numbering
from recommender.data.times import ISO, NANOSECONDS

T = TypeVar("T")
COLUMNS = ("user_id", "item_id", "timestamp", "rating", "split")
# Integers of up to so many digits are read as a whole; 64 bits hold them.
_DIGITS = 18
# From here on a float does not tell neighbouring integers apart.
_EXACT_FLOAT = 2.0**53
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def read_batch(
    cells: Mapping[str, pa.Array], rows: InteractionRows, gathered: Gathered, first_line: int
) -> Batch | None:
    """The rows of a batch; None if any of them is bad, and then nothing was counted.

    Args:
        cells: by name the columns of `COLUMNS` that are there: text, numbers or dates, all of one length.
        rows: the columns of the file, which count what is odd.
        gathered: numbers users and items.
        first_line: the line of the first row; the others follow.
    """
    try:
        users = _Distinct(cells["user_id"], rows.users.read)
        items = _Distinct(cells["item_id"], rows.items.read)
        times = _Times(cells["timestamp"], rows.times)
        ratings = _Distinct(cells["rating"], rows.ratings.read) if "rating" in cells else None
        splits = _Distinct(cells["split"], rows.splits.read) if "split" in cells else None
    except (BadRow, pa.ArrowInvalid):
        # The library refuses bytes that are no text.
        return None
    _count_odd(users, rows.users, first_line)
    _count_odd(items, rows.items, first_line)
    if ratings is not None:
        _count_odd(ratings, rows.ratings, first_line)
    if splits is not None:
        _count_odd(splits, rows.splits, first_line)
    times.count(first_line)
    return Batch(
        _numbered(users, gathered.users),
        _numbered(items, gathered.items),
        times.seconds,
        times.subseconds,
        _ratings(ratings),
        _splits(splits, rows.split, len(users.codes)),
        first_line,
    )


def cells_of(array: pa.Array) -> list[Cell]:
    """The cells of a column as single rows have them: text as it is, missing values empty, numbers as in JSON.

    Dates become text in the form of ISO 8601, with a zone where their type has one.
    """
    if pa.types.is_temporal(array.type):
        zone = "Z" if pa.types.is_timestamp(array.type) and array.type.tz is not None else ""
        form = "%Y-%m-%d" if pa.types.is_date(array.type) else f"%Y-%m-%dT%H:%M:%S{zone}"
        array = pc.strftime(_without_zone(array), form)
    try:
        values = array.to_pylist()
    except UnicodeDecodeError:
        # Undecodable bytes become surrogates, as in a file of text, which ids must not hold.
        values = [
            None if value is None else value.decode("utf-8", "surrogateescape")
            for value in array.cast(pa.large_binary()).to_pylist()
        ]
    return [_cell(value) for value in values]


def _cell(value: object) -> Cell:
    if isinstance(value, str | Decimal):
        return value
    if isinstance(value, float):
        return Decimal(repr(value)) if np.isfinite(value) else ""
    return str(value) if type(value) is int else ""


def _without_zone(array: pa.Array) -> pa.Array:
    """Dates as moments in UTC."""
    return array.cast(pa.timestamp(array.type.unit if pa.types.is_timestamp(array.type) else "s"))


class _Distinct(Generic[T]):
    """A column's distinct cells and what each of them is; `codes` is `(rows,)` and says which cell a row has."""

    def __init__(self, array: pa.Array, read: Callable[[Cell], tuple[T, str | None]]) -> None:
        array = array.dictionary_encode(null_encoding="encode")
        self.codes = array.indices.to_numpy(zero_copy_only=False)
        self.found = [read(cell) for cell in cells_of(array.dictionary)]

    def array(self, value: Callable[[tuple[T, str | None]], float], dtype: type[np.generic]) -> np.ndarray:
        """`(rows,)`: the value of each row's cell."""
        values: np.ndarray = np.array([value(found) for found in self.found], dtype=dtype)[self.codes]
        return values


class _Times:
    """A column of times."""

    def __init__(self, array: pa.Array, column: TimeColumn) -> None:
        self._column = column
        # Unit and whether a zone is known, by number; and the number for each row.
        self._kinds: list[tuple[str, bool]] = []
        self._kind_of: np.ndarray
        self.subseconds: np.ndarray | None = None
        whole = _whole_numbers(array)
        if whole is not None:
            self._read_whole(whole)
        elif pa.types.is_temporal(array.type):
            self._read_dates(array)
        else:
            self._read_each(array)

    def count(self, first_line: int) -> None:
        """Count the units."""
        numbers, firsts, counts = np.unique(self._kind_of, return_index=True, return_counts=True)
        for place in np.argsort(firsts):
            unit, zoned = self._kinds[numbers[place]]
            self._column.count(unit, zoned, first_line + int(firsts[place]), int(counts[place]))

    def _read_whole(self, values: np.ndarray) -> None:
        self._kinds = [(unit, True) for unit, _, _ in TIME_UNITS]
        bounds = [int(below) for _, below, _ in TIME_UNITS[:-1]]
        self._kind_of = np.searchsorted(bounds, values, side="right").astype(np.int8)
        if not self._kind_of.any():
            self.seconds = values
            return
        per_second = np.array([NANOSECONDS // nanoseconds for _, _, nanoseconds in TIME_UNITS])[self._kind_of]
        self.seconds, rest = np.divmod(values, per_second)
        self.subseconds = (rest * (NANOSECONDS // per_second)).astype(np.int32)

    def _read_dates(self, array: pa.Array) -> None:
        zoned = pa.types.is_date(array.type) or array.type.tz is not None
        array = _without_zone(array)
        values = array.cast(pa.int64()).to_numpy(zero_copy_only=False)
        if array.null_count or values.min(initial=0) < 0:
            raise BadRow
        self._kinds = [(ISO, zoned)]
        self._kind_of = np.zeros(len(values), np.int8)
        per_second = _PER_SECOND[array.type.unit]
        self.seconds, rest = np.divmod(values, per_second)
        self.subseconds = (rest * (NANOSECONDS // per_second)).astype(np.int32) if rest.any() else None

    def _read_each(self, array: pa.Array) -> None:
        distinct = _Distinct(array, lambda cell: (self._column.read(cell), None))
        moments = [moment for moment, _ in distinct.found]
        kinds = {(moment.unit, moment.zoned): 0 for moment in moments}
        self._kinds = list(kinds)
        kinds = {kind: number for number, kind in enumerate(kinds)}
        self._kind_of = distinct.array(lambda found: kinds[found[0].unit, found[0].zoned], np.int8)
        self.seconds = distinct.array(lambda found: found[0].nanoseconds // NANOSECONDS, np.int64)
        subseconds = distinct.array(lambda found: found[0].nanoseconds % NANOSECONDS, np.int32)
        self.subseconds = subseconds if subseconds.any() else None


def _whole_numbers(array: pa.Array) -> np.ndarray | None:
    """`(rows,)` int64 if all cells are whole numbers from 0 on, also with `.0` behind them; None otherwise."""
    if array.null_count or not len(array):
        return None
    if pa.types.is_string(array.type):
        if not pc.all(pc.ascii_is_decimal(array)).as_py():
            array = pc.replace_substring_regex(array, r"\.0*$", "")
        if (
            pc.max(pc.binary_length(array)).as_py() > _DIGITS
            or not pc.all(pc.ascii_is_decimal(array)).as_py()
        ):
            return None
    elif pa.types.is_floating(array.type):
        floats = array.to_numpy()
        # Not a number is not its own floor.
        if not ((floats >= 0) & (floats < _EXACT_FLOAT) & (np.floor(floats) == floats)).all():
            return None
    elif not pa.types.is_integer(array.type) or pa.types.is_uint64(array.type):
        return None
    values = array.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return values if values.min() >= 0 else None


def _numbered(distinct: _Distinct[str], numbering: Numbering) -> np.ndarray:
    return distinct.array(lambda found: numbering.number(found[0]), np.int32)


def _ratings(distinct: _Distinct[float | None] | None) -> np.ndarray | None:
    if distinct is None or all(rating is None for rating, _ in distinct.found):
        return None
    return distinct.array(lambda found: np.nan if found[0] is None else found[0], np.float64)


def _splits(distinct: _Distinct[str | None] | None, otherwise: str | None, rows: int) -> np.ndarray | None:
    missing = -1 if otherwise is None else SPLITS.index(otherwise)
    if distinct is None or all(split is None for split, _ in distinct.found):
        return None if otherwise is None else np.full(rows, missing, np.int8)
    return distinct.array(lambda found: missing if found[0] is None else SPLITS.index(found[0]), np.int8)


def _count_odd(
    distinct: _Distinct[Any], column: IdColumn | RatingColumn | SplitColumn, first_line: int
) -> None:
    """Count odd spellings as if row after row had been read."""
    kinds = list(dict.fromkeys(odd for _, odd in distinct.found if odd is not None))
    if not kinds:
        return
    # The number of each row's kind, from 1 on; 0 for what is ordinary.
    number_of = distinct.array(lambda found: 0 if found[1] is None else kinds.index(found[1]) + 1, np.int8)
    places = [(np.flatnonzero(number_of == number), kind) for number, kind in enumerate(kinds, start=1)]
    for rows, kind in sorted(places, key=lambda place: int(place[0][0])):
        column.count(kind, first_line + int(rows[0]), len(rows))
