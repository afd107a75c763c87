"""Splitting one user's history by time."""

from collections.abc import Sequence
from typing import NamedTuple

from recommender.errors import DataError


class Split(NamedTuple):
    """`train` items in time order, then one `validation` and one `test` item, which are never trained on."""

    train: tuple[int, ...]
    validation: int
    test: int


def leave_two_out(history: Sequence[int]) -> Split:
    """The last item for test, the one before for validation, the rest for training.

    Raises:
        DataError: fewer than 3 events.
    """
    if len(history) < 3:
        raise DataError(f"leave-two-out needs at least 3 events, this history has {len(history)}")
    *train, validation, test = history
    return Split(tuple(train), validation, test)
