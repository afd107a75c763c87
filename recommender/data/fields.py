"""Parses the cells of a row as interactions and items."""

from collections.abc import Collection
from functools import lru_cache

from inputs import InvalidInput, identifier, title
from recommender.data.cells import BadRow, Row
from recommender.data.columns import IdColumn, RatingColumn, SplitColumn, TimeColumn, id_text
from recommender.data.interactions import Interaction, TitledItem
from recommender.data.tables import lacking

lacking_for_interactions = lacking("user_id", "item_id", "timestamp")
# RecBole's `.item` files need not hold titles.
lacking_for_recbole_items = lacking("item_id")


class InteractionRows:
    """Reads the rows of one file.

    The columns are `user_id`, `item_id` and `timestamp`, and, where they are there, `rating` and `split`. Others are
    ignored.

    Args:
        split: the split of rows that do not say, because the file's name does.
    """

    def __init__(self, file: str, split: str | None = None) -> None:
        self.file = file
        self.split = split
        self.users = IdColumn("user_id")
        self.items = IdColumn("item_id")
        self.times = TimeColumn()
        self.ratings = RatingColumn()
        self.splits = SplitColumn()

    def __call__(self, row: Row, line: int) -> Interaction:
        """The interaction of a row.

        Raises:
            BadRow: an id or the time is not valid.
        """
        user, odd_user = self.users.read(row.get("user_id", ""))
        item, odd_item = self.items.read(row.get("item_id", ""))
        when = self.times.read(row.get("timestamp", ""))
        rating, odd_rating = self.ratings.read(row.get("rating", ""))
        split, odd_split = self.splits.read(row.get("split", ""))
        self.users.count(odd_user, line)
        self.items.count(odd_item, line)
        self.times.count(when.unit, when.zoned, line)
        self.ratings.count(odd_rating, line)
        self.splits.count(odd_split, line)
        return Interaction(user, item, when.nanoseconds, line, rating, split or self.split)

    def warnings(self) -> list[str]:
        """The oddities so far, one line per kind, without quoting ids."""
        columns = (self.users, self.items, self.times, self.ratings, self.splits)
        return [warning for column in columns for warning in column.warnings(self.file)]


class ItemRows:
    """Reads the rows of a file with titles: the column `item_id` and the one that `title_column` chooses."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._items = IdColumn("item_id")

    def __call__(self, row: Row, line: int) -> TitledItem:
        """The item of a row; without a title, its id is the title.

        Raises:
            BadRow: the id or the title is not valid by the rules of `inputs`.
        """
        item, odd = self._items.read(row.get("item_id", ""))
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
        return identifier(id_text(row.get("user_id", "")))
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
