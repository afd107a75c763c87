"""The users of a benchmark and their roles.

Four groups of users never mix:

* the panel trains the base and nothing else;
* development users are the only ones whose forgetting may steer a choice: a method's configuration, a threshold of
  the policy, a training setting;
* report users are the only ones that are forgotten in a reported figure;
* outsiders take part in no fit: they are the non-members of a membership attack. (An attacker's shadow models may be
  fitted on them.)

Development and report users together are the service's users: the adapter is fitted on all of them. The groups are
drawn with one seed that no benchmark varies, so no run reports on users on whom another run made a choice.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.generated import generated, is_generated
from recommender import (
    Catalogue,
    InteractionData,
    Split,
    SyntheticConfig,
    generate_synthetic,
    k_core,
    leave_two_out,
    load_interactions,
    split_panel,
)

PANEL_SHARE, OUTSIDER_SHARE, DEVELOPMENT_SHARE, SPLIT_SEED, CORE = 0.1, 0.05, 0.2, 0, 5


class TooFewUsers(ValueError):
    """There are fewer users than should be forgotten; the message gives both numbers."""


@dataclass(frozen=True)
class Population:
    """The panel's histories, the service's users split by time (the development users first), and the outsiders."""

    source: str
    catalogue: Catalogue
    panel: tuple[tuple[int, ...], ...]
    service: tuple[Split, ...]
    development: int
    outsiders: tuple[Split, ...]

    @property
    def development_users(self) -> range:
        """Indices in `service` of the users on whom choices may be made."""
        return range(self.development)

    @property
    def report_users(self) -> range:
        """Indices in `service` of the users that reported figures may forget."""
        return range(self.development, len(self.service))

    def draw(self, share: float, seed: int) -> tuple[int, ...]:
        """Report users to forget: `share` of all service users, rounded, at least one. Sorted indices in `service`."""
        count = max(1, round(share * len(self.service)))
        if count > len(self.report_users):
            raise ValueError(
                f"cannot forget {count} of {len(self.report_users)} report users; lower the share"
            )
        return tuple(sorted(random.Random(seed).sample(self.report_users, count)))

    def development_groups(self, count: int, size: int) -> list[tuple[int, ...]]:
        """Disjoint groups of `size` development users."""
        order = random.Random(SPLIT_SEED).sample(self.development_users, self.development)
        if count * size > self.development:
            raise ValueError(f"{count} groups of {size} need more than {self.development} development users")
        return [tuple(sorted(order[start * size : (start + 1) * size])) for start in range(count)]


# The events of one user of some data, in time order, as the style of a study numbers them.
EventsOf = Callable[[InteractionData, str], tuple[int, ...]]


def load_population(path: Path, events_of: EventsOf = InteractionData.items) -> Population:
    """The population of MovieLens-100K or other data that `load_interactions` reads, reduced to its 5-core.

    Generated data is used without that filter.

    Raises:
        DataError: the data cannot be read, or there is no generated data of this name.
    """
    if is_generated(path):
        return _population(str(path), generated(path), events_of)
    return _population(path.name, k_core(load_interactions(path), CORE), events_of)


def synthetic_population(config: SyntheticConfig | None = None) -> Population:
    """A population of generated users, for benchmarks without data."""
    return _population("synthetic", generate_synthetic(config or SyntheticConfig()))


def _population(
    source: str, data: InteractionData, events_of: EventsOf = InteractionData.items
) -> Population:
    panel, users = split_panel(data, PANEL_SHARE, SPLIT_SEED)
    random.Random(SPLIT_SEED).shuffle(users)
    splits = tuple(leave_two_out(events_of(data, user)) for user in users)
    outside = round(OUTSIDER_SHARE * len(splits))
    service = splits[: len(splits) - outside]
    return Population(
        source=source,
        catalogue=data.catalogue,
        panel=tuple(events_of(data, user) for user in panel),
        service=service,
        development=round(DEVELOPMENT_SHARE * len(service)),
        outsiders=splits[len(service) :],
    )
