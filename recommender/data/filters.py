"""Selection of users and items."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from recommender.catalogue import Catalogue
from recommender.data.histories import Event
from recommender.data.interactions import InteractionData
from recommender.errors import ConfigError, DataError

V = TypeVar("V")


def k_core(data: InteractionData, k: int = 5) -> InteractionData:
    """The largest subset in which every user has at least `k` events and every item at least `k` users.

    Dropping a user can leave an item with too few users, and the reverse, so both are dropped in turn until nothing
    changes. The catalogue is renumbered in the same order.

    Raises:
        ConfigError: `k` is below 1.
        DataError: nothing is left.
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}")
    histories = data.histories
    while True:
        users_of = Counter(event.item for history in histories.values() for event in history)
        kept = {
            user_id: tuple(event for event in history if users_of[event.item] >= k)
            for user_id, history in histories.items()
        }
        kept = {user_id: history for user_id, history in kept.items() if len(history) >= k}
        if kept == histories:
            break
        histories = kept
    if not histories:
        raise DataError(f"nothing is left of the data after the {k}-core filter")
    return _renumbered(data, histories)


def split_panel(data: InteractionData, share: float = 0.1, seed: int = 0) -> tuple[list[str], list[str]]:
    """A random panel of `share` of the users (rounded, at least one), and the remaining users of the service.

    The base is trained on the panel only, so it cannot know a user of the service. Both lists are sorted.

    Raises:
        ConfigError: `share` is not between 0 and 1.
        DataError: fewer than two users.
    """
    if not 0 < share < 1:
        raise ConfigError(f"share must be between 0 and 1, got {share}")
    users = sorted(data.histories)
    if len(users) < 2:
        raise DataError("splitting off a panel needs at least two users")
    count = min(max(round(share * len(users)), 1), len(users) - 1)
    order = np.random.default_rng(seed).permutation(len(users)).tolist()
    return sorted(users[i] for i in order[:count]), sorted(users[i] for i in order[count:])


def _renumbered(data: InteractionData, histories: Mapping[str, tuple[Event, ...]]) -> InteractionData:
    kept = sorted({event.item for history in histories.values() for event in history})
    position = {old: new for new, old in enumerate(kept)}
    catalogue = Catalogue(
        item_ids=tuple(data.catalogue.item_ids[old] for old in kept),
        titles=tuple(data.catalogue.titles[old] for old in kept),
    )
    renumbered = {
        user_id: tuple(Event(position[event.item], event.timestamp) for event in history)
        for user_id, history in histories.items()
    }
    return replace(
        data,
        catalogue=catalogue,
        histories=renumbered,
        ratings=_kept_of(data.ratings, data, renumbered, position),
        splits=_kept_of(data.splits, data, renumbered, position),
        attributes={user_id: about for user_id, about in data.attributes.items() if user_id in renumbered},
    )


def _kept_of(
    values: Mapping[str, tuple[V, ...]], data: InteractionData, users: Collection[str], items: Collection[int]
) -> dict[str, tuple[V, ...]]:
    """Of one value per event, those of the events that stay."""
    if not values:
        return {}
    return {
        user_id: tuple(
            value
            for event, value in zip(data.histories[user_id], values[user_id], strict=True)
            if event.item in items
        )
        for user_id in users
    }
