"""The columns of a file of interactions: what each of their cells means, and how odd spellings are counted.

Rows and whole batches are read through the same objects, so that both follow one rule.
"""

import math
import re
import unicodedata
from decimal import Decimal

from inputs import InvalidInput, identifier, number_as_id
from recommender.data.cells import BadRow, Cell
from recommender.data.oddities import Tallies
from recommender.data.times import ISO, FileMoment, file_moment

SPLITS = ("train", "valid", "test")
SPLIT_OF = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "test": "test",
}  # fmt: skip

_FLOAT = "written as floats (like 42.0) and read as integers (42)"
_ROUNDED = "written like 1.2e+16: digits may be lost, and two ids may have become one"
_DECOMPOSED = "written in decomposed Unicode and read in composed (NFC)"
_SCIENTIFIC = re.compile(r"-?\d(\.\d+)?[eE]\+\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_NOTHING = frozenset({"", "nan", "null", "none", "<na>"})
_NO_RATING = "no numbers and count as no rating"
_NO_SPLIT = f"none of {', '.join(SPLITS)} and count as no split"


class _Spelt:
    """A column that says of its odd spellings how often they occur."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._odd = Tallies()

    def count(self, odd: str | None, line: int, count: int = 1) -> None:
        """Count an odd spelling in rows that are used, the first of them in `line`."""
        if odd is not None:
            self._odd.add(odd, line, count)

    def warnings(self, file: str) -> list[str]:
        """The oddities so far, one line per kind."""
        return [
            f"{file}: {tally.count} values of {self.name} are {kind}; first in line {tally.first}"
            for kind, tally in self._odd.items()
        ]


class IdColumn(_Spelt):
    """A column of ids. Every id occurs many times, so parsed ids are cached."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._read: dict[Cell, tuple[str, str | None]] = {}

    def read(self, cell: Cell) -> tuple[str, str | None]:
        """The id of a cell, and what is odd about its spelling or None.

        Raises:
            BadRow: it is no id.
        """
        known = self._read.get(cell)
        if known is None:
            try:
                text = id_text(cell)
                found = identifier(text)
            except InvalidInput as error:
                raise BadRow(f"{self.name} {error}") from error
            known = self._read[cell] = found, _odd(text.strip(), found)
        return known


class TimeColumn:
    """The column of times."""

    name = "timestamp"

    def __init__(self) -> None:
        self._units = Tallies()
        self._zoneless = Tallies()

    def read(self, cell: Cell) -> FileMoment:
        """The moment of a cell.

        Raises:
            BadRow: it is no time.
        """
        try:
            return file_moment(str(cell))
        except InvalidInput as error:
            raise BadRow(f"timestamp {error}") from error

    def count(self, unit: str, zoned: bool, line: int, count: int = 1) -> None:
        """Count times of rows that are used, the first of them in `line`."""
        self._units.add(unit, line, count)
        if not zoned:
            self._zoneless.add("without a zone", line, count)

    def warnings(self, file: str) -> list[str]:
        """That units are mixed, or that dates do not say in which zone they are."""
        found = []
        if len(self._units) > 1:
            units = sorted(self._units.items(), key=lambda unit: unit[1].count)
            parts = [
                f"{tally.count} times are in {unit}, first in line {tally.first}" for unit, tally in units
            ]
            found.append(f"{file}: {'; '.join(parts)}; all were brought to seconds")
        found += [
            f"{file}: {tally.count} times name no time zone and were read as UTC, first in line {tally.first}"
            for tally in self._zoneless.values()
        ]
        return found

    def guess(self, file: str) -> list[str]:
        """That all times were taken to be in another unit than seconds, because of their size alone."""
        if len(self._units) != 1:
            return []
        (unit,) = self._units
        if unit in ("seconds", ISO):
            return []
        return [
            f"{file}: all times are so large that they were read as {unit} since 1970; is that what they are?"
        ]


class RatingColumn(_Spelt):
    """The column of ratings, which need not be there. What is no number is no rating; the row counts all the same."""

    def __init__(self) -> None:
        super().__init__("rating")

    def read(self, cell: Cell) -> tuple[float | None, str | None]:
        """The rating of a cell or None, and what is odd about it or None."""
        text = str(cell).strip()
        if text.casefold() in _NOTHING:
            return None, None
        rating = float(text) if _NUMBER.fullmatch(text) else math.nan
        return (rating, None) if math.isfinite(rating) else (None, _NO_RATING)


class SplitColumn(_Spelt):
    """The column that says which part of the data a row was in. What is none of `SPLITS` says nothing."""

    def __init__(self) -> None:
        super().__init__("split")

    def read(self, cell: Cell) -> tuple[str | None, str | None]:
        """One of `SPLITS` or None, and what is odd about it or None."""
        text = str(cell).strip().casefold()
        split = SPLIT_OF.get(text)
        return split, None if split is not None or text in _NOTHING else _NO_SPLIT


def id_text(cell: Cell) -> str:
    """The text of an id's cell, for `identifier`.

    Raises:
        InvalidInput: it is a number out of range.
    """
    return number_as_id(cell) if isinstance(cell, Decimal) else cell


def _odd(text: str, found: str) -> str | None:
    if _SCIENTIFIC.fullmatch(found):
        return _ROUNDED
    if text == found:
        return None
    return _FLOAT if unicodedata.normalize("NFC", text) != found else _DECOMPOSED
