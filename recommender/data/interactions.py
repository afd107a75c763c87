"""Interactions in memory: which user met which item, and when."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from recommender.catalogue import Catalogue
from recommender.data.oddities import Tallies
from recommender.data.tables import RejectedRow
from recommender.errors import DataError

_NANOSECONDS = 10**9


class Event(NamedTuple):
    """One interaction of a user: catalogue index and time (any integer that grows with time, e.g. Unix seconds)."""

    item: int
    timestamp: int


class Interaction(NamedTuple):
    """One interaction of a file's line, with ids in the canonical spelling of `inputs`."""

    user_id: str
    item_id: str
    nanoseconds: int
    file: str
    line: int


class TitledItem(NamedTuple):
    """One item of a file's line."""

    item_id: str
    title: str
    line: int


@dataclass(frozen=True)
class InteractionData:
    """A catalogue and, per user id, the events in time order.

    Files may distinguish moments within one second. Events at the same moment are ordered by catalogue index, so that
    splits do not depend on the order of the file. A user meets an item once: of repeated interactions the earliest
    counts, because next-item prediction masks seen items.

    Args:
        rejected: the rows that were skipped.
        warnings: oddities in rows that were used, one line per kind and file, without quoting ids.
        skipped_users: ids of the users of skipped rows, as far as the rows could be read. A model that was trained
            on the same files elsewhere may know these interactions.
    """

    catalogue: Catalogue
    histories: dict[str, tuple[Event, ...]]
    rejected: tuple[RejectedRow, ...] = ()
    warnings: tuple[str, ...] = ()
    skipped_users: frozenset[str] = frozenset()

    @property
    def events(self) -> int:
        """Total number of interactions."""
        return sum(len(history) for history in self.histories.values())

    def items(self, user_id: str) -> tuple[int, ...]:
        """Catalogue indices of one user's history in time order."""
        return tuple(event.item for event in self.histories[user_id])

    def rejected_by_reason(self) -> dict[str, int]:
        """Number of skipped rows by reason, the most frequent first."""
        return dict(Counter(row.reason for row in self.rejected).most_common())


def assemble(
    interactions: Iterable[Interaction],
    titles: dict[str, str],
    rejected: Iterable[RejectedRow] = (),
    warnings: Iterable[str] = (),
    skipped_users: Iterable[str] = (),
) -> InteractionData:
    """Number the items and build the histories.

    The catalogue lists the titled items in the order of `titles`, then items without a title in the order of their
    first interaction, with the id as title.

    Raises:
        DataError: there is no interaction.
    """
    earliest: dict[str, dict[str, int]] = {}
    names = dict(titles)
    repeated = Tallies()
    for user_id, item_id, nanoseconds, file, line in interactions:
        names.setdefault(item_id, item_id)
        seen = earliest.setdefault(user_id, {})
        if item_id in seen:
            repeated.add(file, line)
        seen[item_id] = min(nanoseconds, seen.get(item_id, nanoseconds))
    if not earliest:
        raise DataError("the data hold no interaction")
    catalogue = Catalogue(item_ids=tuple(names), titles=tuple(names.values()))
    index = {item_id: position for position, item_id in enumerate(names)}
    histories = {user_id: _in_time_order(seen, index) for user_id, seen in earliest.items()}
    folded = [
        f"{file}: {tally.count} rows repeat an interaction of the same user and item, first in line {tally.first}; "
        "the earliest counts"
        for file, tally in repeated.items()
    ]
    return InteractionData(
        catalogue, histories, tuple(rejected), (*warnings, *folded), frozenset(skipped_users)
    )


def _in_time_order(seen: dict[str, int], index: dict[str, int]) -> tuple[Event, ...]:
    """Events by exact moment, then catalogue index."""
    moments = sorted((nanoseconds, index[item_id]) for item_id, nanoseconds in seen.items())
    return tuple(Event(item, nanoseconds // _NANOSECONDS) for nanoseconds, item in moments)
