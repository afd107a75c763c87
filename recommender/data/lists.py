"""Histories as LC-Rec writes them: one JSON object with a list of items per user, and tables of the original ids."""

import json
from decimal import Decimal
from pathlib import Path

from inputs import InvalidInput, title
from recommender.data.cells import BadRow, TableFormat
from recommender.data.columns import IdColumn
from recommender.data.encoding import unknown_encoding
from recommender.data.fields import title_column
from recommender.data.gathered import Gathered
from recommender.data.interactions import Interaction
from recommender.data.tables import RejectedRow, judge, lacking, read_table
from recommender.data.times import NANOSECONDS
from recommender.errors import DataError

_ORIGINALS = TableFormat("\t", columns=("original", "number"))


def read_lists(
    path: Path, items: Path | None, gathered: Gathered, titles: dict[str, str], skipped_users: set[str]
) -> tuple[list[RejectedRow], list[str]]:
    """Read `NAME.inter.json` whole, with `NAME.item2id` and `NAME.user2id` where they are there.

    Times are positions in a user's list, in seconds. Of what cannot be used, the number of the user in the file is
    reported, from 1 on, in place of a line.

    Args:
        items: `NAME.item.json` with the titles, or None.
        gathered: receives the interactions.
        titles: receives the titles.
        skipped_users: receives the users of interactions that were skipped.

    Returns:
        What was skipped, and what is odd about the rest.

    Raises:
        DataError: a file is no JSON object of lists (of objects, for titles) or cannot be read, or more than 1 % of the
            interactions are bad.
    """
    stem = path.name[: -len(".inter.json")]
    item_ids = _Ids("item_id", path.with_name(f"{stem}.item2id"))
    user_ids = _Ids("user_id", path.with_name(f"{stem}.user2id"))
    if items is not None:
        _read_titles(items, item_ids, titles)
    rejected: list[RejectedRow] = []
    good: list[Interaction] = []
    times: dict[str, int] = {}
    for number, (user_cell, history) in enumerate(_pairs(path, "the lists of users"), start=1):
        user: str | None = None
        try:
            user = user_ids.read(user_cell, number)
            if not isinstance(history, list) or isinstance(history, _Pairs):
                raise BadRow("the history is no list")
        except BadRow as error:
            rejected.append(RejectedRow(path.name, number, str(error)))
            skipped_users.update([] if user is None else [user])
            continue
        for cell in history:
            try:
                item = item_ids.read(cell, number)
            except BadRow as error:
                rejected.append(RejectedRow(path.name, number, str(error)))
                skipped_users.add(user)
                continue
            times[user] = times.get(user, -1) + 1
            good.append(Interaction(user, item, times[user] * NANOSECONDS, number))
    judge(path, len(good), rejected)
    gathered.add_rows(path.name, good)
    order = f"{path.name}: has no times; the order of each list is taken for that of time"
    return rejected, [*user_ids.column.warnings(path.name), *item_ids.column.warnings(path.name), order]


class _Ids:
    """Ids, or the numbers that stand for them."""

    def __init__(self, name: str, table: Path) -> None:
        self.column = IdColumn(name)
        self._table = table.name
        self._original: dict[str, str] | None = None
        if table.is_file():
            rows = read_table(table, _ORIGINALS, lacking("original", "number"), lambda row, line: row).rows
            self._original = {str(row["number"]).strip(): str(row["original"]) for row in rows}

    def read(self, cell: object, line: int) -> str:
        """The original id.

        Raises:
            BadRow: it is no id, or the table of numbers does not hold it.
        """
        if not isinstance(cell, str | int | Decimal) or isinstance(cell, bool):
            raise BadRow(f"{self.column.name} is missing")
        text = cell if isinstance(cell, Decimal) else str(cell)
        if self._original is not None:
            found = self._original.get(str(text).strip())
            if found is None:
                raise BadRow(f"{self.column.name} is not in {self._table}")
            text = found
        found, odd = self.column.read(text)
        self.column.count(odd, line)
        return found


def _read_titles(path: Path, ids: _Ids, titles: dict[str, str]) -> None:
    for number, (cell, about) in enumerate(_pairs(path, "what is known of items"), start=1):
        fields = dict(about) if isinstance(about, _Pairs) else {}
        column = title_column(tuple(fields))
        try:
            item = ids.read(cell, number)
            called = title(str(fields.get(column or "", "")))
        except (BadRow, InvalidInput):
            # Whoever met it is told that the id cannot be used; an item without a title is called by its id.
            continue
        titles[item] = called or item


class _Pairs(list[tuple[str, object]]):
    """A JSON object as a list of pairs; a dict would lose names that occur twice."""


def _pairs(path: Path, what: str) -> _Pairs:
    try:
        content = json.loads(
            path.read_bytes(), object_pairs_hook=_Pairs, parse_float=Decimal, parse_constant=lambda _: None
        )
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise unknown_encoding(path) from error
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise DataError(f"{path} is not JSON, or is cut off; it must hold one object with {what}") from error
    if not isinstance(content, _Pairs):
        raise DataError(f"{path} must hold one JSON object with {what}")
    if not content:
        raise DataError(f"{path} is empty")
    return content
