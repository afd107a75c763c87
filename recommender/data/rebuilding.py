"""Puts a user's history together from rows that each hold a piece of it."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from recommender.data.interactions import Interaction
from recommender.data.times import NANOSECONDS


class Target(NamedTuple):
    """One row: an interaction and the items that the user had met before, the latest last.

    Args:
        ratings: one per item of the history.
        timeless: whether the row has no time of its own.
    """

    file: str
    interaction: Interaction
    history: tuple[str, ...]
    ratings: tuple[float | None, ...]
    timeless: bool = False

    @property
    def user_id(self) -> str:
        """Whose row it is."""
        return self.interaction.user_id

    @property
    def line(self) -> int:
        """Where the row stands in its file."""
        return self.interaction.line


class Known(NamedTuple):
    """An interaction, and the file that it is from."""

    file: str
    interaction: Interaction


class Rebuilt(NamedTuple):
    """A user's history.

    Args:
        known: the interactions in the order of time, no two at one moment.
        contradicting: the rows that do not agree with those before them.
        from_history: how many interactions are no row of their own.
        gaps: before how many rows there must have been others that no row names.
    """

    known: list[Known]
    contradicting: list[Target]
    from_history: int
    gaps: int


def rebuild(targets: Sequence[Target], longest: int) -> Rebuilt:
    """Put the rows of one user together.

    A row agrees with those before it if its history goes on where they end. A history of `longest` items may have been
    cut to its latest ones; a shorter one is whole, and so begins where the user's first history begins. The first row
    is believed.

    Args:
        targets: in reading order.
        longest: the length of the longest history of the data set.
    """
    sequence: list[str] = []
    found = Rebuilt([], [], 0, 0)
    from_history = gaps = 0
    seen: set[tuple[str, int, tuple[str, ...]]] = set()
    latest = -1
    for target in _in_time_order(targets):
        event, history = target.interaction, target.history
        again = (event.item_id, event.nanoseconds, history)
        if again in seen:
            # The same row once more says nothing against itself.
            found.known.append(Known(target.file, event))
            continue
        overlap = _overlap(sequence, history)
        if not _agrees(sequence, history, overlap, longest):
            found.contradicting.append(target)
            continue
        seen.add(again)
        gaps += bool(sequence) and not overlap
        new = list(zip(history, target.ratings, strict=True))[overlap:]
        from_history += len(new)
        for ahead, (item, rating) in zip(range(len(new), 0, -1), new, strict=True):
            latest = latest + NANOSECONDS if target.timeless else max(latest + 1, event.nanoseconds - ahead)
            found.known.append(
                Known(target.file, Interaction(event.user_id, item, latest, event.line, rating))
            )
        latest = latest + NANOSECONDS if target.timeless else max(latest + 1, event.nanoseconds)
        found.known.append(Known(target.file, event._replace(nanoseconds=latest)))
        sequence += [*history[overlap:], event.item_id]
    return found._replace(from_history=from_history, gaps=gaps)


def _in_time_order(targets: Sequence[Target]) -> list[Target]:
    """By time; of rows at one moment, those first that others name in their histories."""
    if targets[0].timeless:
        return list(targets)
    ordered: list[Target] = []
    by_time = sorted(targets, key=lambda target: target.interaction.nanoseconds)
    for _, together in groupby(by_time, key=lambda target: target.interaction.nanoseconds):
        group = list(together)
        items = {target.interaction.item_id for target in group}
        ordered += sorted(group, key=lambda target: sum(item in items for item in target.history))
    return ordered


def _overlap(sequence: Sequence[str], history: Sequence[str]) -> int:
    """The largest number of items that `sequence` ends with and `history` begins with."""
    for length in range(min(len(sequence), len(history)), 0, -1):
        if tuple(sequence[-length:]) == tuple(history[:length]):
            return length
    return 0


def _agrees(sequence: Sequence[str], history: Sequence[str], overlap: int, longest: int) -> bool:
    if not sequence:
        return True
    if len(history) < longest:
        return overlap == len(sequence)
    return overlap > 0 or not set(history) & set(sequence)
