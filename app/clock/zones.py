"""Time zones by their IANA names, with the rules of the `tzdata` package."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo


def zone_named(name: str) -> ZoneInfo:
    """The zone with this IANA name.

    The rules come from the package and not from the machine. So all processes of a release compute the same deadline,
    also in a container without zones.

    Raises:
        ValueError: there is no such zone. The text does not quote the name.
    """
    if name not in zone_names():
        raise ValueError("the time zone is not known; it must be an IANA name such as Europe/Berlin or UTC")
    return _load(name)


def civil_day(instant: datetime, zone: ZoneInfo) -> date:
    """The day that the zone's calendar shows at the instant.

    A clock that is put back just after midnight shows the end of the day before again. Of the two days the earlier one
    is taken, so that a later instant never has an earlier day.
    """
    day = require_aware(instant).astimezone(zone).date()
    before = day - timedelta(days=1)
    shown_again = (last for last in _last_seconds(before, zone) if last.astimezone(zone).date() == before)
    return before if any(instant <= last for last in shown_again) else day


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """23:59:59 of the day in the zone. If the zone's clock skips or repeats that second, the earlier reading counts."""
    return min(_last_seconds(day, zone))


def require_aware(instant: datetime) -> datetime:
    """The same instant.

    Raises:
        ValueError: it has no time zone.
    """
    if instant.tzinfo is None:
        raise ValueError("an instant must carry a time zone")
    return instant


def _last_seconds(day: date, zone: ZoneInfo) -> list[datetime]:
    """23:59:59 with the offset before and with the offset after a change of the clock; mostly the same twice."""
    return [datetime.combine(day, time(23, 59, 59, fold=fold), zone).astimezone(UTC) for fold in (0, 1)]


@cache
def zone_names() -> frozenset[str]:
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split())


@cache
def _load(name: str) -> ZoneInfo:
    with (files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)
