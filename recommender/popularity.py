"""Popularity of items: the baseline of every model, and the answer for users who must not be personalised."""

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from recommender.errors import DataError


def popularity(histories: Mapping[str, Sequence[int]], catalogue_size: int) -> Tensor:
    """Number of users who met each item, float32 `[catalogue_size]`.

    The counts are sums, so the result without a user is exactly the result if the user had never existed.

    Raises:
        DataError: an item outside the catalogue.
    """
    users_of = Counter(item for items in histories.values() for item in set(items))
    if users_of and not 0 <= min(users_of) <= max(users_of) < catalogue_size:
        raise DataError(f"a history holds an item outside the catalogue of {catalogue_size}")
    counts = torch.zeros(catalogue_size)
    for item, users in users_of.items():
        counts[item] = users
    return counts
