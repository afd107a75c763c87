"""Builds the histories from what was read."""

from collections.abc import Iterable, Mapping

import numpy as np

from recommender.catalogue import Catalogue
from recommender.data.columns import SPLITS
from recommender.data.gathered import Gathered
from recommender.data.histories import ArrayHistories, ArrayRatings, ArraySplits
from recommender.data.interactions import InteractionData
from recommender.data.tables import RejectedRow
from recommender.errors import DataError

# Rows that are sorted at a time. Sorting all at once takes some hundred bytes a row.
_ROWS_AT_A_TIME = 1_000_000


def assemble(
    gathered: Gathered,
    titles: Mapping[str, str],
    rejected: Iterable[RejectedRow] = (),
    warnings: Iterable[str] = (),
    skipped_users: Iterable[str] = (),
    attributes: Mapping[str, Mapping[str, str]] | None = None,
) -> InteractionData:
    """Number the items and build the histories. What was gathered is used up.

    The catalogue lists the titled items in the order of `titles`, then items without a title in the order of their
    first interaction, with the id as title. Where a user meets an item repeatedly, the earliest row counts, of several
    the first that was read.

    Raises:
        DataError: there is no interaction.
    """
    if not gathered.rows:
        raise DataError("the data hold no interaction")
    names = dict(titles)
    for item_id in gathered.items.number_of:
        names.setdefault(item_id, item_id)
    catalogue = Catalogue(item_ids=tuple(names), titles=tuple(names.values()))
    index = {item_id: position for position, item_id in enumerate(names)}
    position_of = np.fromiter((index[item_id] for item_id in gathered.items.number_of), np.int32)
    del index, names

    users = _column(gathered, "users")
    # By user and then in reading order, which the sort keeps.
    by_user = np.argsort(users, kind="stable").astype(np.int32 if gathered.rows < 2**31 else np.int64)
    ends = np.cumsum(np.bincount(users, minlength=len(gathered.users.number_of)))
    del users
    items = position_of[_column(gathered, "items")]
    seconds = _column(gathered, "seconds")
    subseconds = gathered.take("subseconds")
    order, lengths, repeated = _in_time_order(by_user, ends, items, seconds, subseconds)
    del by_user, subseconds

    offsets = np.concatenate([[0], np.cumsum(lengths)])
    # One after the other, so that no two of these copies are there at once.
    items = items[order]
    seconds = seconds[order]
    rows = gathered.users.number_of
    ratings = gathered.take("ratings")
    splits = gathered.take("splits")
    return InteractionData(
        catalogue,
        ArrayHistories(rows, offsets, items, seconds),
        tuple(rejected),
        (*warnings, *_said(gathered, repeated)),
        frozenset(skipped_users),
        {} if ratings is None else ArrayRatings(rows, offsets, ratings[order]),
        {} if splits is None else ArraySplits(rows, offsets, splits[order], SPLITS),
        {user: found for user, found in (attributes or {}).items() if user in rows},
    )


def _column(gathered: Gathered, name: str) -> np.ndarray:
    column = gathered.take(name)
    assert column is not None
    return column


def _in_time_order(
    by_user: np.ndarray,
    ends: np.ndarray,
    items: np.ndarray,
    seconds: np.ndarray,
    subseconds: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows that count, by user, moment and catalogue index.

    Args:
        by_user: `(rows,)` the rows of the first user in reading order, then those of the second, and so on.
        ends: `(users,)` where each user's rows end in it.
        items, seconds, subseconds: `(rows,)` of all rows in reading order.

    Returns:
        `(events,)` rows; `(users,)` how many of them are each user's; the rows that repeat an interaction which was
        read before, in reading order.
    """
    order = np.empty_like(by_user)
    lengths, repeated = [], []
    user = begin = events = 0
    while user < len(ends):
        # As many whole users as go in one piece, and at least one.
        until = max(int(np.searchsorted(ends, begin + _ROWS_AT_A_TIME, side="right")), user + 1)
        rows = by_user[begin : ends[until - 1]]
        sizes = np.diff(ends[user:until], prepend=begin)
        users = np.repeat(np.arange(until - user), sizes)
        met = items[rows]
        moments = [seconds[rows]] if subseconds is None else [subseconds[rows], seconds[rows]]
        # The last key counts most. Equal rows stay in reading order.
        grouped = np.lexsort((*moments, met, users))
        same = (np.diff(users[grouped]) == 0) & (np.diff(met[grouped]) == 0)
        first = np.concatenate([[True], ~same])
        repeated.append(_later_read(rows[grouped], first))
        earliest = grouped[first]
        by_time = np.lexsort((met[earliest], *(moment[earliest] for moment in moments), users[earliest]))
        order[events : events + len(earliest)] = rows[earliest[by_time]]
        events += len(earliest)
        lengths.append(np.bincount(users[earliest], minlength=until - user))
        user, begin = until, int(ends[until - 1])
    return order[:events], np.concatenate(lengths), np.sort(np.concatenate(repeated))


def _later_read(rows: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Of groups of rows, all but the one of each group that was read first; `first` marks where a group begins."""
    if first.all():
        return rows[:0]
    read_first = np.minimum.reduceat(rows, np.flatnonzero(first))
    group = np.cumsum(first) - 1
    later: np.ndarray = rows[rows != read_first[group]]
    return later


def _said(gathered: Gathered, repeated: np.ndarray) -> list[str]:
    """One line per file with rows that repeat an interaction."""
    found = []
    for file, start, end in gathered.files():
        begin, until = np.searchsorted(repeated, [start, end])
        if until > begin:
            _, line = gathered.place(int(repeated[begin]))
            found.append(
                f"{file}: {until - begin} rows repeat an interaction of the same user and item, first in line {line}; "
                "the earliest counts"
            )
    return found
