"""Moments as files write them: numbers by the rule of `inputs`, and dates in the form of ISO 8601."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from inputs import InvalidInput, moment

ISO = "ISO 8601"
NANOSECONDS = 10**9

_DATE = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"
    r"([T ](?P<hour>\d{2}):(?P<minute>\d{2})(:(?P<second>\d{2})([.,](?P<fraction>\d{1,9}))?)?"
    r"\s?(?P<zone>Z|[+-]\d{2}(:?\d{2})?)?)?",
    re.ASCII | re.IGNORECASE,
)
_PARTS = ("year", "month", "day", "hour", "minute", "second")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FileMoment(NamedTuple):
    """A moment of a file.

    Args:
        nanoseconds: since 1970.
        unit: what it was given in: a unit of `inputs`, or `ISO`.
        zoned: whether the file says in which time zone; numbers always do.
    """

    nanoseconds: int
    unit: str
    zoned: bool = True


def file_moment(text: str) -> FileMoment:
    """The moment that a cell names. A date without a time is its first moment, one without a zone is in UTC.

    Raises:
        InvalidInput: it is neither a number by the rule of `inputs` nor a date that exists, or lies before 1970.
    """
    date = _DATE.fullmatch(text.strip())
    if date is None:
        found = moment(text)
        return FileMoment(found.nanoseconds, found.unit)
    year, month, day, hour, minute, second = (int(date[part] or 0) for part in _PARTS)
    try:
        since = datetime(year, month, day, hour, minute, second, tzinfo=_zone(date["zone"])) - _EPOCH
    except (ValueError, OverflowError) as error:
        raise InvalidInput("is no date that exists") from error
    seconds = since.days * 86400 + since.seconds
    if seconds < 0:
        raise InvalidInput("must not be negative")
    fraction = int((date["fraction"] or "").ljust(9, "0"))
    return FileMoment(seconds * NANOSECONDS + fraction, ISO, _is_zoned(date))


def _is_zoned(date: re.Match[str]) -> bool:
    # A day alone is a day: nobody expects a zone with it.
    return date["zone"] is not None or date["hour"] is None


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
