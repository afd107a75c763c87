"""A seeded generator of catalogues and users, for the demo and for tests without a download."""

from dataclasses import dataclass

import numpy as np

from recommender.catalogue import Catalogue
from recommender.data.histories import Event
from recommender.data.interactions import InteractionData
from recommender.data.titles import title
from recommender.errors import ConfigError

_FIRST_TIMESTAMP = 1_700_000_000
_MEAN_GAP_SECONDS = 6 * 3600


@dataclass(frozen=True)
class SyntheticConfig:
    """Size and character of synthetic data.

    Args:
        users, items: how many of each.
        tastes: number of groups into which the catalogue is divided.
        tastes_per_user: number of groups from which a user's events are drawn.
        mean_length: mean number of events of a user besides the `personal` ones and the last two (Poisson).
        min_length: least number of such events.
        personal: number of events per user that no taste explains.
        popularity_exponent: within a taste, the item of rank `n` is drawn with weight `n ** -exponent`.
        seed: seed of all random draws.

    Raises:
        ConfigError: a value out of range, or more events asked for than a user's tastes have items.
    """

    users: int = 500
    items: int = 400
    tastes: int = 10
    tastes_per_user: int = 2
    mean_length: float = 36.0
    min_length: int = 10
    personal: int = 2
    popularity_exponent: float = 1.2
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            min(self.users, self.items, self.tastes, self.tastes_per_user, self.min_length) < 1
            or self.personal < 0
        ):
            raise ConfigError(f"sizes must be at least 1 and personal not negative: {self}")
        if self.tastes_per_user > self.tastes or self.tastes > self.items:
            raise ConfigError(f"need tastes_per_user <= tastes <= items: {self}")
        if self.mean_length < self.min_length or self.popularity_exponent < 0:
            raise ConfigError(f"need mean_length >= min_length and popularity_exponent >= 0: {self}")
        if self.longest + self.personal > self.items or self.longest < self.min_length + 2:
            raise ConfigError(f"a user's tastes have too few items for histories this long: {self}")

    @property
    def longest(self) -> int:
        """Most events that tastes can explain: the number of items in a user's smallest possible tastes."""
        return self.tastes_per_user * (self.items // self.tastes)


def generate_synthetic(config: SyntheticConfig) -> InteractionData:
    """Generate users with latent tastes and a few personal items.

    A history is drawn from the user's tastes without repetition, with a preference for popular items, so that a model
    can learn about a user from others. Just before the last two events come `personal` items from the rest of the
    catalogue, which a model can only know from this user's events. Leave-two-out then measures what was learnt about
    tastes, and the end of the training part what was memorised about the user.
    """
    draw = np.random.default_rng(config.seed)
    taste_of = np.arange(config.items) % config.tastes
    rank = np.arange(config.items) // config.tastes
    weight = (rank + 1.0) ** -config.popularity_exponent
    catalogue = Catalogue(
        item_ids=tuple(f"item-{item:04d}" for item in range(config.items)),
        titles=tuple(title(int(t), int(r)) for t, r in zip(taste_of, rank, strict=True)),
    )
    histories = {}
    for user in range(config.users):
        items = _history(config, draw, taste_of, weight)
        gaps = 1 + draw.exponential(_MEAN_GAP_SECONDS, size=len(items)).astype(np.int64)
        times = _FIRST_TIMESTAMP + np.cumsum(gaps)
        histories[f"user-{user:04d}"] = tuple(map(Event, items.tolist(), times.tolist()))
    return InteractionData(catalogue, histories)


def _history(
    config: SyntheticConfig, draw: np.random.Generator, taste_of: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    tastes = draw.choice(config.tastes, size=config.tastes_per_user, replace=False)
    liked = np.isin(taste_of, tastes)
    length = min(max(int(draw.poisson(config.mean_length)), config.min_length) + 2, config.longest)
    probability = np.where(liked, weight, 0.0)
    shared = draw.choice(config.items, size=length, replace=False, p=probability / probability.sum())
    personal = draw.choice(np.flatnonzero(~liked), size=config.personal, replace=False)
    return np.concatenate([shared[:-2], personal, shared[-2:]])
