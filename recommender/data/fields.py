"""Parses the cells of a row as ids, titles and times, by the rules of `inputs`, and counts odd spellings."""

import re
import unicodedata
from collections.abc import Collection, Mapping
from decimal import Decimal
from functools import lru_cache

from inputs import InvalidInput, identifier, moment, number_as_id, title
from recommender.data.cells import BadRow, Cell, Row
from recommender.data.interactions import Interaction, TitledItem
from recommender.data.oddities import Tallies
from recommender.data.tables import lacking

lacking_for_interactions = lacking("user_id", "item_id", "timestamp")
# RecBole's `.item` files need not hold titles.
lacking_for_recbole_items = lacking("item_id")

_FLOAT = "written as floats (like 42.0) and read as integers (42)"
_ROUNDED = "written like 1.2e+16: digits may be lost, and two ids may have become one"
_DECOMPOSED = "written in decomposed Unicode and read in composed (NFC)"
_SCIENTIFIC = re.compile(r"-?\d(\.\d+)?[eE]\+\d+", re.ASCII)


class InteractionRows:
    """Reads the rows of one file.

    The columns are `user_id`, `item_id` and `timestamp`. Others are ignored: an interaction is implicit feedback.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._users = _IdColumn("user_id")
        self._items = _IdColumn("item_id")
        self._units = Tallies()

    def __call__(self, row: Row, line: int) -> Interaction:
        """The interaction of a row.

        Raises:
            BadRow: an id or the time is not valid by the rules of `inputs`.
        """
        user, odd_user = self._users.read(row)
        item, odd_item = self._items.read(row)
        try:
            when = moment(str(row.get("timestamp", "")))
        except InvalidInput as error:
            raise BadRow(f"timestamp {error}") from error
        self._users.count(odd_user, line)
        self._items.count(odd_item, line)
        self._units.add(when.unit, line)
        return Interaction(user, item, when.nanoseconds, self._file, line)

    def warnings(self) -> list[str]:
        """The oddities so far, one line per kind, without quoting ids."""
        found = [*self._users.warnings(self._file), *self._items.warnings(self._file)]
        if len(self._units) > 1:
            units = sorted(self._units.items(), key=lambda unit: unit[1].count)
            parts = [
                f"{tally.count} times are in {unit}, first in line {tally.first}" for unit, tally in units
            ]
            found.append(f"{self._file}: {'; '.join(parts)}; all were brought to seconds")
        return found


class ItemRows:
    """Reads the rows of a file with titles: the column `item_id` and the one that `title_column` chooses."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._items = _IdColumn("item_id")

    def __call__(self, row: Row, line: int) -> TitledItem:
        """The item of a row; without a title, its id is the title.

        Raises:
            BadRow: the id or the title is not valid by the rules of `inputs`.
        """
        item, odd = self._items.read(row)
        column = title_column(tuple(row))
        try:
            called = title(str(row[column])) if column is not None else ""
        except InvalidInput as error:
            raise BadRow(f"title {error}") from error
        self._items.count(odd, line)
        return TitledItem(item, called or item, line)

    def warnings(self) -> list[str]:
        """The oddities so far, one line per kind."""
        return self._items.warnings(self._file)


def user_of(row: Row) -> str | None:
    """The user id of a row, which may be unusable otherwise; None if it has no valid id."""
    try:
        return identifier(_id_text(row.get("user_id", "")))
    except InvalidInput:
        return None


@lru_cache(maxsize=64)
def title_column(columns: tuple[str, ...]) -> str | None:
    """The column that holds the titles; None if there is none.

    It is `title`, else `name`. If neither exists, it is a column with such an ending, since RecBole names it by domain
    (`movie_title`, `book_title`): the first that ends in `_title` or `_name`, else the first that ends in `title` or
    `name`. So `subtitle`, `original_title` and `username` are never preferred to `title`.
    """
    for exact in ("title", "name"):
        if exact in columns:
            return exact
    for ends in (("_title", "_name"), ("title", "name")):
        for column in columns:
            if column.endswith(ends):
                return column
    return None


def lacking_for_items(columns: Collection[str]) -> str | None:
    """`item_id` or `title` if the columns lack it, else None."""
    return lacking_for_recbole_items(columns) or (None if title_column(tuple(columns)) else "title")


class _IdColumn:
    """A column of ids. Every id occurs many times, so parsed ids are cached."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._read: dict[Cell, tuple[str, str | None]] = {}
        self._odd = Tallies()

    def read(self, row: Mapping[str, Cell]) -> tuple[str, str | None]:
        """The id of a row, and what is odd about its spelling or None."""
        cell = row.get(self._name, "")
        known = self._read.get(cell)
        if known is None:
            try:
                text = _id_text(cell)
                found = identifier(text)
            except InvalidInput as error:
                raise BadRow(f"{self._name} {error}") from error
            known = self._read[cell] = found, _odd(text.strip(), found)
        return known

    def count(self, odd: str | None, line: int) -> None:
        """Count an odd spelling in a row that is used."""
        if odd is not None:
            self._odd.add(odd, line)

    def warnings(self, file: str) -> list[str]:
        return [
            f"{file}: {tally.count} values of {self._name} are {odd}; first in line {tally.first}"
            for odd, tally in self._odd.items()
        ]


def _id_text(cell: Cell) -> str:
    return number_as_id(cell) if isinstance(cell, Decimal) else cell


def _odd(text: str, found: str) -> str | None:
    if _SCIENTIFIC.fullmatch(found):
        return _ROUNDED
    if text == found:
        return None
    return _FLOAT if unicodedata.normalize("NFC", text) != found else _DECOMPOSED
