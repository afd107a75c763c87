"""Histories as arrays of numbers: an event takes 12 bytes, and becomes an object when somebody looks at it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np

V = TypeVar("V")


class Event(NamedTuple):
    """One interaction of a user: catalogue index and time (any integer that grows with time, e.g. Unix seconds)."""

    item: int
    timestamp: int


class UserArrays(Mapping[str, tuple[V, ...]], Generic[V]):
    """Per user id a tuple, made anew on each access from a piece of arrays that hold all users' values.

    Args:
        rows: the number of each user, from 0, in the order in which users are listed.
        offsets: `(users + 1,)`; the values of user `n` lie from `offsets[n]` up to `offsets[n + 1]`.
        made: makes the values of a piece.
    """

    def __init__(
        self, rows: Mapping[str, int], offsets: np.ndarray, made: Callable[[slice], Iterator[V]]
    ) -> None:
        self._rows = rows
        self._offsets = offsets
        self._made = made

    def __getitem__(self, user_id: str) -> tuple[V, ...]:
        row = self._rows[user_id]
        return tuple(self._made(slice(int(self._offsets[row]), int(self._offsets[row + 1]))))

    def __contains__(self, user_id: object) -> bool:
        return user_id in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        """Without ids."""
        return f"<{type(self).__name__} of {len(self)} users>"


class ArrayHistories(UserArrays[Event]):
    """Every user's events.

    Args:
        rows: the number of each user, from 0.
        offsets: `(users + 1,)`, where each user's events begin.
        items: `(events,)` catalogue indices.
        seconds: `(events,)` times in seconds.
    """

    def __init__(
        self, rows: Mapping[str, int], offsets: np.ndarray, items: np.ndarray, seconds: np.ndarray
    ) -> None:
        super().__init__(rows, offsets, self._events_of)
        self._items = items
        self._seconds = seconds

    @property
    def events(self) -> int:
        """The number of all users' events."""
        return len(self._items)

    def events_of_items(self, items: int) -> list[int]:
        """The number of events of each of a catalogue's items."""
        found: list[int] = np.bincount(self._items, minlength=items).tolist()
        return found

    def _events_of(self, piece: slice) -> Iterator[Event]:
        return map(Event, self._items[piece].tolist(), self._seconds[piece].tolist())


class ArrayRatings(UserArrays[float | None]):
    """Every user's ratings; `values` is `(events,)` with NaN where there is none."""

    def __init__(self, rows: Mapping[str, int], offsets: np.ndarray, values: np.ndarray) -> None:
        super().__init__(rows, offsets, self._ratings_of)
        self._values = values

    def _ratings_of(self, piece: slice) -> Iterator[float | None]:
        # NaN is the only number that is not itself.
        return (value if value == value else None for value in self._values[piece].tolist())


class ArraySplits(UserArrays[str | None]):
    """Every user's splits; `values` is `(events,)` with positions in `names`, and -1 where there is none."""

    def __init__(
        self, rows: Mapping[str, int], offsets: np.ndarray, values: np.ndarray, names: tuple[str, ...]
    ) -> None:
        super().__init__(rows, offsets, self._splits_of)
        self._values = values
        self._names = names

    def _splits_of(self, piece: slice) -> Iterator[str | None]:
        return (None if value < 0 else self._names[value] for value in self._values[piece].tolist())
