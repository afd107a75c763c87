"""Marks in addresses that say where the next page of a list begins: a keyset, so no page costs more than another."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FORM = re.compile(r"(-?[0-9]{1,18})\.([0-9]{1,18})")


def encode(at: datetime, number: int) -> str:
    """The mark after a row that is sorted by an instant and then by a number."""
    return f"{(at - _EPOCH) // _MICROSECOND}.{number}"


def decode(mark: str) -> tuple[datetime, int] | None:
    """The instant and the number; None for a mark that nobody made."""
    found = _FORM.fullmatch(mark)
    if found is None:
        return None
    try:
        return _EPOCH + int(found[1]) * _MICROSECOND, int(found[2])
    except OverflowError:
        return None
