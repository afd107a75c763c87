"""A seeded generator of data with histories of very different lengths and many rare items."""

from dataclasses import dataclass

import numpy as np

from recommender.catalogue import Catalogue
from recommender.data.histories import Event
from recommender.data.interactions import InteractionData
from recommender.data.titles import title
from recommender.errors import ConfigError

_FIRST_TIMESTAMP = 1_700_000_000
_MEAN_GAP_SECONDS = 6 * 3600
# Leave-two-out needs a training item.
_SHORTEST = 3


@dataclass(frozen=True)
class LongTailConfig:
    """Size and character of the data.

    Args:
        users, items: how many of each.
        median_length: median number of events of a user, including the last two.
        length_spread: standard deviation of the logarithm of a history's length beyond `min_length`.
        min_length: least number of events of a user.
        tastes: number of groups into which the catalogue is divided.
        focus: concentration of a user on few tastes. A user's shares of the tastes are drawn from a Dirichlet
            distribution whose concentrations sum to the inverse of `focus`.
        stay: probability that an event is of the same taste as the event before.
        wander: probability that an event comes from anywhere in the catalogue, independent of the user's tastes.
        popularity_exponent: the item of rank `n` is drawn with weight `n ** -exponent`.
        seed: seed of all random draws.

    Raises:
        ConfigError: a value out of range.
    """

    users: int
    items: int
    median_length: float
    length_spread: float
    tastes: int
    min_length: int = _SHORTEST
    focus: float = 0.5
    stay: float = 0.5
    wander: float = 0.1
    popularity_exponent: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.users >= 1 and 1 <= self.tastes <= self.items and self.focus > 0):
            raise ConfigError(f"need users, 1 <= tastes <= items and focus above 0: {self}")
        if not _SHORTEST <= self.min_length < self.median_length or self.length_spread < 0:
            raise ConfigError(
                f"need {_SHORTEST} <= min_length < median_length and no negative spread: {self}"
            )
        if self.median_length > self.items:
            raise ConfigError(f"there are too few items for histories this long: {self}")
        if not (0 <= self.stay < 1 and 0 <= self.wander < 1) or self.popularity_exponent < 0:
            raise ConfigError(f"need stay and wander in [0, 1) and an exponent of at least 0: {self}")


def generate_long_tail(config: LongTailConfig) -> InteractionData:
    """Generate users with a few tastes each, who sometimes choose an item of another taste.

    Popularity has a long tail, and so has the number of events of a user. Nobody meets an item twice. A model can learn
    the tastes from other users. Which of a taste's many rare items a user meets, and which items outside the tastes, a
    model can only know from the user's own events.
    """
    draw = np.random.default_rng(config.seed)
    taste_of = np.arange(config.items) % config.tastes
    # Ranks are assigned to tastes at random, so that the popularity of items differs between tastes.
    weight = (draw.permutation(config.items) + 1.0) ** -config.popularity_exponent
    members = [np.flatnonzero(taste_of == taste) for taste in range(config.tastes)]
    share = np.array([weight[items].sum() for items in members])
    concentration = share / share.sum() / config.focus
    catalogue = Catalogue(
        item_ids=tuple(f"item-{item:05d}" for item in range(config.items)),
        titles=tuple(title(int(taste), item // config.tastes) for item, taste in enumerate(taste_of)),
    )
    histories = {}
    for user in range(config.users):
        items = _history(config, draw, _liked(draw, concentration), members, weight)
        gaps = 1 + draw.exponential(_MEAN_GAP_SECONDS, size=len(items)).astype(np.int64)
        times = _FIRST_TIMESTAMP + np.cumsum(gaps)
        histories[f"user-{user:05d}"] = tuple(map(Event, items, times.tolist()))
    return InteractionData(catalogue, histories)


def _liked(draw: np.random.Generator, concentration: np.ndarray) -> np.ndarray:
    """One user's shares of the tastes."""
    drawn: np.ndarray = draw.standard_gamma(concentration)
    total = float(drawn.sum())
    # With tiny concentrations, all draws can round to 0.
    shares: np.ndarray = drawn / total if total > 0 else concentration / concentration.sum()
    return shares


def _history(
    config: LongTailConfig,
    draw: np.random.Generator,
    liked: np.ndarray,
    members: list[np.ndarray],
    weight: np.ndarray,
) -> list[int]:
    beyond = (config.median_length - config.min_length) * np.exp(
        config.length_spread * draw.standard_normal()
    )
    length = min(config.min_length + round(float(beyond)), config.items)
    queues: dict[int, list[int]] = {}
    anywhere = _in_random_order(draw, np.arange(config.items), weight)
    found: list[int] = []
    met: set[int] = set()
    taste = -1
    while len(found) < length:
        item = None
        if draw.random() >= config.wander:
            if taste < 0 or draw.random() >= config.stay:
                taste = int(draw.choice(config.tastes, p=liked))
            if taste not in queues:
                queues[taste] = _in_random_order(draw, members[taste], weight)
            item = _next(queues[taste], met)
        if item is None:
            item = _next(anywhere, met)
        assert item is not None, "a history is never longer than the catalogue"
        found.append(item)
        met.add(item)
    return found


def _in_random_order(draw: np.random.Generator, items: np.ndarray, weight: np.ndarray) -> list[int]:
    """The items in reverse order of a weighted draw without replacement, so that `pop` gives the first."""
    keys = draw.standard_exponential(len(items)) / weight[items]
    order: list[int] = items[np.argsort(-keys)].tolist()
    return order


def _next(queue: list[int], met: set[int]) -> int | None:
    while queue:
        item = queue.pop()
        if item not in met:
            return item
    return None
