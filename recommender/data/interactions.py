"""Interactions in memory: which user met which item, and when."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from recommender.catalogue import Catalogue
from recommender.data.histories import ArrayHistories, Event
from recommender.data.tables import RejectedRow


class Interaction(NamedTuple):
    """One interaction of a file's line, with ids in the canonical spelling of `inputs`.

    Args:
        nanoseconds: since 1970; any number of Python's, since running numbers and units allow more than 64 bits.
        rating: what the user gave the item, or None.
        split: one of `SPLITS`, or None.
    """

    user_id: str
    item_id: str
    nanoseconds: int
    line: int
    rating: float | None = None
    split: str | None = None


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

    Ratings are stored beside the events, for the prompt styles that need them. Splits and attributes are carried for
    whoever asks for them: training holds each user's last two events out whatever the files say, and `lethe init` says
    where an operator's adapter was trained otherwise.

    Args:
        rejected: the rows that were skipped.
        warnings: oddities in rows that were used, one line per kind and file, without quoting ids.
        skipped_users: ids of the users of skipped rows, as far as the rows could be read. A model that was trained
            on the same files elsewhere may know these interactions.
        ratings: per user, one rating or None for each event of the history; empty where no file has ratings.
        splits: per user, `train`, `valid`, `test` or None for each event; empty where no file says.
        attributes: per user, the columns of `users.*` by name, as text; empty without such a file.
    """

    catalogue: Catalogue
    histories: Mapping[str, tuple[Event, ...]]
    rejected: tuple[RejectedRow, ...] = ()
    warnings: tuple[str, ...] = ()
    skipped_users: frozenset[str] = frozenset()
    ratings: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    splits: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """Total number of interactions."""
        if isinstance(self.histories, ArrayHistories):
            return self.histories.events
        return sum(len(history) for history in self.histories.values())

    def events_of_items(self) -> list[int]:
        """The number of events of each item, by catalogue index."""
        if isinstance(self.histories, ArrayHistories):
            return self.histories.events_of_items(len(self.catalogue))
        events = Counter(event.item for history in self.histories.values() for event in history)
        return [events[item] for item in range(len(self.catalogue))]

    def items(self, user_id: str) -> tuple[int, ...]:
        """Catalogue indices of one user's history in time order."""
        return tuple(event.item for event in self.histories[user_id])

    def rejected_by_reason(self) -> dict[str, int]:
        """Number of skipped rows by reason, the most frequent first."""
        return dict(Counter(row.reason for row in self.rejected).most_common())
