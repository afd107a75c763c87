"""Types of ids and times for endpoints and bodies, which check the rules of `inputs`.

An invalid id gives a 422 whose message says why and never quotes the id.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, WithJsonSchema

from app.clock.zones import zone_named, zone_names
from app.errors import Refusal
from app.id_schema import ID_IN_BODY, ID_IN_PATH, ID_TEXT, INSTANT, TIME
from inputs import InvalidInput, identifier, moment, number_as_id

# Clients and proxies remove these segments from a path: they mean the same and the upper folder.
_REMOVED_FROM_PATHS = frozenset({".", ".."})

_WRITTEN_OUT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T")
_IN_RANGE = re.compile(INSTANT["pattern"])


def _as_text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return number_as_id(value)
    except InvalidInput as error:
        raise Refusal("invalid_id", f"the id {error}") from error


def _checked(value: str) -> str:
    try:
        return identifier(value)
    except InvalidInput as error:
        raise Refusal("invalid_id", f"the id {error}") from error


def _seconds(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Refusal("invalid_time", "the time must be a number")
    try:
        return moment(value).seconds
    except InvalidInput as error:
        raise Refusal("invalid_time", f"the time {error}") from error


def _known_zone(name: str) -> str:
    try:
        zone_named(name)
    except ValueError as error:
        raise Refusal("unknown_zone", "no such time zone; use an IANA name like Europe/Berlin") from error
    return name


def _addressable(value: str) -> str:
    if value in _REMOVED_FROM_PATHS:
        raise Refusal(
            "not_addressable",
            "clients remove this id from a path; send it as user_id in the body of POST /forget-requests",
        )
    return value


def _written_out(value: object) -> object:
    # Pydantic also takes numbers and other spellings, which the API does not promise.
    if isinstance(value, str) and not _WRITTEN_OUT.match(value):
        raise Refusal("invalid_instant", "write an instant as in 2026-11-21T02:40:11Z")
    if isinstance(value, str) and not _IN_RANGE.match(value):
        raise Refusal("invalid_instant", "the instant is out of range: its year must be from 0002 to 9998")
    return value


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


# An instant with a zone, as RFC 3339 writes it.
Instant = Annotated[
    AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc), WithJsonSchema(INSTANT)
]
# In a JSON body an id may be a number, as in a JSON file.
Id = Annotated[str, BeforeValidator(_as_text), AfterValidator(_checked), WithJsonSchema(ID_IN_BODY)]
IdInQuery = Annotated[str, AfterValidator(_checked), WithJsonSchema(ID_TEXT)]
IdInPath = Annotated[str, AfterValidator(_checked), AfterValidator(_addressable), WithJsonSchema(ID_IN_PATH)]
# Whole seconds since 1970, from a number in any unit.
Time = Annotated[int, BeforeValidator(_seconds), WithJsonSchema(TIME)]
# A time zone by its IANA name.
Zone = Annotated[
    str, AfterValidator(_known_zone), WithJsonSchema({"type": "string", "enum": sorted(zone_names())})
]
