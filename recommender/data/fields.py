"""Cells of a row as ids, titles and times."""

import math
from collections.abc import Mapping

from recommender.data.interactions import Interaction
from recommender.data.tables import BadRow

MAX_ID_LENGTH = 256
_MAX_TIMESTAMP = 2**63 - 1


def interaction(row: Mapping[str, str]) -> Interaction:
    """Columns `user_id`, `item_id`, `timestamp`; others are ignored: an interaction is implicit feedback.

    Raises:
        BadRow: an id is empty, too long or not printable, or the time is not a finite number.
    """
    return Interaction(_identifier(row, "user_id"), _identifier(row, "item_id"), _timestamp(row))


def titled_item(row: Mapping[str, str]) -> tuple[str, str]:
    """Columns `item_id` and `title` as (item id, title); an item without a title is called by its id.

    RecBole's data sets name the column after the domain (`movie_title`, `book_title`, `name`): the first column
    that ends in `title` or `name` is taken.

    Raises:
        BadRow: the id or the title is not printable text.
    """
    item_id = _identifier(row, "item_id")
    title = (
        next((value for column, value in row.items() if column.endswith(("title", "name"))), "") or item_id
    )
    if not title.isprintable():
        raise BadRow("title is not printable text")
    return item_id, title


def _identifier(row: Mapping[str, str], column: str) -> str:
    value = row.get(column, "")
    if not 0 < len(value) <= MAX_ID_LENGTH or not value.isprintable():
        raise BadRow(f"{column} must be 1 to {MAX_ID_LENGTH} printable characters")
    return value


def _timestamp(row: Mapping[str, str]) -> int:
    text = row.get("timestamp", "")
    try:
        # Straight to int first: a float cannot hold every 64-bit time.
        timestamp = int(text) if text.lstrip("+-").isdecimal() else math.floor(float(text))
    except (ValueError, OverflowError) as error:
        raise BadRow("timestamp must be a number") from error
    if abs(timestamp) > _MAX_TIMESTAMP:
        raise BadRow("timestamp is out of range")
    return timestamp
