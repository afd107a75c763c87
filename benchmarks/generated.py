"""Generated services, for benchmarks that need more than one kind of data: `--data generated:NAME[:USERS]`.

`sparse` is like a shop: most users have a handful of events, most items have a handful of buyers, and no filter removes
either. `dense` is like MovieLens-1M: it has a twentieth of all pairs of user and item, about a hundred events per user.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from recommender import InteractionData, LongTailConfig, generate_long_tail
from recommender.errors import DataError

_PREFIX = "generated:"
# Enough users for a panel, the outsiders, and services of a few users each.
LEAST_USERS = 40


def _sparse(users: int) -> LongTailConfig:
    # The number of items grows with that of users, so that a smaller service is equally sparse.
    items = 4 * users
    return LongTailConfig(
        users=users, items=items, median_length=6.0, length_spread=1.0, tastes=max(items // 40, 1)
    )


def _dense(users: int) -> LongTailConfig:
    # The density is events per user divided by items, whatever the number of users.
    return LongTailConfig(
        users=users,
        items=3000,
        median_length=100.0,
        length_spread=0.8,
        tastes=60,
        min_length=20,
        focus=0.25,
        popularity_exponent=1.0,
    )


_KINDS: dict[str, tuple[int, Callable[[int], LongTailConfig]]] = {
    "sparse": (2000, _sparse),
    "dense": (800, _dense),
}


@contextmanager
def as_folder(data: Path | None) -> Iterator[Path | None]:
    """Yield generated data as a folder that `lethe up --data` reads, while the block lasts; other paths unchanged."""
    if data is None or not is_generated(data):
        yield data
        return
    found, name = generated(data), str(data).replace(":", "-")
    with TemporaryDirectory() as parent:
        folder = Path(parent) / name
        folder.mkdir()
        items = found.catalogue.item_ids
        rows = [
            (user, items[event.item], event.timestamp)
            for user, history in found.histories.items()
            for event in history
        ]
        _write(folder / "interactions.csv", ("user_id", "item_id", "timestamp"), rows)
        titles = zip(items, found.catalogue.titles, strict=True)
        _write(folder / "items.csv", ("item_id", "title"), titles)
        yield folder


def _write(place: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with place.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def is_generated(data: Path) -> bool:
    """Whether this path names generated data instead of a file."""
    return str(data).startswith(_PREFIX)


def generated(data: Path) -> InteractionData:
    """The data that `generated:NAME` or `generated:NAME:USERS` names. The same name always gives the same data.

    Raises:
        DataError: the name is unknown, or the number of users is invalid or too small.
    """
    name, _, size = str(data).removeprefix(_PREFIX).partition(":")
    if name not in _KINDS:
        raise DataError(f"there is no generated data {name!r}; there are {', '.join(_KINDS)}")
    users, config = _KINDS[name]
    if size:
        if not size.isdecimal() or int(size) < LEAST_USERS:
            raise DataError(f"{data}: give a number of users of at least {LEAST_USERS}, not {size!r}")
        users = int(size)
    return generate_long_tail(config(users))
