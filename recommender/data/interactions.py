"""Interactions in memory: who met which item when."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from recommender.catalogue import Catalogue
from recommender.data.tables import RejectedRow
from recommender.errors import DataError


class Event(NamedTuple):
    """One interaction of a user: catalogue index and time (any integer that grows with time, e.g. Unix seconds)."""

    item: int
    timestamp: int


class Interaction(NamedTuple):
    """One interaction as a file states it."""

    user_id: str
    item_id: str
    timestamp: int


@dataclass(frozen=True)
class InteractionData:
    """A catalogue and, per user id, the events in time order.

    Events with the same timestamp are ordered by catalogue index, so that splits do not depend on the order of
    the file. A user meets an item once: of repeated interactions the earliest counts, because next-item
    prediction masks what was seen.
    """

    catalogue: Catalogue
    histories: dict[str, tuple[Event, ...]]
    rejected: tuple[RejectedRow, ...] = ()

    @property
    def events(self) -> int:
        """Number of interactions of all users."""
        return sum(len(history) for history in self.histories.values())

    def items(self, user_id: str) -> tuple[int, ...]:
        """Catalogue indices of one user's history in time order."""
        return tuple(event.item for event in self.histories[user_id])


def assemble(
    interactions: Iterable[Interaction], titles: Mapping[str, str], rejected: Iterable[RejectedRow] = ()
) -> InteractionData:
    """Number the items and build the histories.

    The catalogue lists the titled items in the order of `titles`, then items without a title as they occur,
    their id standing in for the title.

    Raises:
        DataError: there is no interaction.
    """
    earliest: dict[str, dict[str, int]] = {}
    names = dict(titles)
    for user_id, item_id, timestamp in interactions:
        names.setdefault(item_id, item_id)
        seen = earliest.setdefault(user_id, {})
        seen[item_id] = min(timestamp, seen.get(item_id, timestamp))
    if not earliest:
        raise DataError("the data hold no interaction")
    catalogue = Catalogue(item_ids=tuple(names), titles=tuple(names.values()))
    index = {item_id: position for position, item_id in enumerate(names)}
    histories = {
        user_id: in_time_order(Event(index[item_id], timestamp) for item_id, timestamp in seen.items())
        for user_id, seen in earliest.items()
    }
    return InteractionData(catalogue, histories, tuple(rejected))


def in_time_order(events: Iterable[Event]) -> tuple[Event, ...]:
    """Events by timestamp, then catalogue index."""
    return tuple(sorted(events, key=lambda event: (event.timestamp, event.item)))
