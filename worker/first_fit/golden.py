"""Compares golden rows of the owner with our own rows, before anything is stored or trained."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path

from inputs import InvalidInput, identifier
from recommender import Base, DataError, InteractionData
from recommender.golden import difference, read_golden
from recommender.styles import ItemTokenStyle
from worker.first_fit.errors import FirstFitError


def check_golden(path: Path, base: Base, data: InteractionData) -> int:
    """Check that every golden row equals ours, token for token; how many rows were compared.

    Raises:
        DataError: the file cannot be read.
        FirstFitError: a row differs, or its user is not in the data. The message shows the first difference, decoded.
    """
    style = base.style
    if isinstance(style, ItemTokenStyle):
        raise FirstFitError("--golden compares prompts of text, and this base has a token for each item")
    rows = read_golden(path)
    for row in rows:
        where = f"{path}:{row.line}"
        try:
            history = data.histories.get(identifier(row.user_id))
        except InvalidInput:
            history = None
        item = base.catalogue.index(row.item_id)
        if history is None or item is None:
            raise FirstFitError(f"{where}: its user or its item is not in the data and the catalogue")
        events = _events(base, data, identifier(row.user_id))
        items = [style.item_of(event) for event in events]
        if item not in items:
            met = "rated" if style.needs_ratings else "met"
            raise FirstFitError(f"{where}: its user has not {met} its item")
        place = items.index(item)
        candidates = None
        if row.candidates is not None:
            found = [base.catalogue.index(one) for one in row.candidates]
            candidates = [one for one in found if one is not None]
        try:
            windows = [
                style.event_window(events[:place], events[place], candidates, frame=frame)
                for frame in range(style.frames)
            ]
        except DataError as error:
            raise FirstFitError(f"{where}: {error}") from error
        problems = [difference(row, window, style.pad_token, style.decode) for window in windows]
        # The owner may have drawn any of the frames for this row.
        if None not in problems:
            several = "" if style.frames == 1 else f"in none of {style.frames} frames; in the first, "
            raise FirstFitError(f"{where}: our prompt is not yours: {several}{problems[0]}")
    return len(rows)


def _events(base: Base, data: InteractionData, user: str) -> list[int]:
    """The user's events that the base's style reads, for items that the base lists."""
    ratings = data.ratings.get(user) or repeat(None)
    found = [
        (index, rating)
        for event, rating in zip(data.histories[user], ratings, strict=False)
        if (index := base.catalogue.index(data.catalogue.item_ids[event.item])) is not None
    ]
    style = base.style
    return [style.event(*one) for one in found if not style.needs_ratings or one[1] is not None]
