"""Which spellings of an id are the same item. Pure module: no I/O."""

from __future__ import annotations

from contextlib import suppress

from inputs import InvalidInput, identifier


def spelled(item_id: str) -> str:
    """The canonical spelling of an item's id. A catalogue, or an event that an earlier release stored, may have another
    one, even one that is no valid id; then it is its own spelling.
    """
    with suppress(InvalidInput):
        return identifier(item_id)
    return item_id
