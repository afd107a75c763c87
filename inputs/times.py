"""Times: the unit of a number is recognised by its size."""

import re
from decimal import Decimal
from typing import NamedTuple

from inputs.text import InvalidInput

TIME_RULE = (
    "a time is a number, in seconds since 1970; from 1e11 on it is taken to be in milliseconds, from 1e14 on in "
    "microseconds, from 1e17 on in nanoseconds"
)

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
# Name, first number that belongs to a larger unit, nanoseconds per unit.
# 1e11 is the year 5138 in seconds and 1973 in milliseconds, so no recorded event is ambiguous.
TIME_UNITS = (
    ("seconds", Decimal("1e11"), 10**9),
    ("milliseconds", Decimal("1e14"), 10**6),
    ("microseconds", Decimal("1e17"), 10**3),
    ("nanoseconds", Decimal("1e20"), 1),
)


class Moment(NamedTuple):
    """A moment in nanoseconds since 1970, and the unit in which it was given."""

    nanoseconds: int
    unit: str

    @property
    def seconds(self) -> int:
        """Whole seconds since 1970."""
        return self.nanoseconds // 10**9


def moment(value: float | str) -> Moment:
    """Read a moment from a number.

    Any number that grows with time is allowed, for example a running number. Then only the order has a meaning.

    Raises:
        InvalidInput: the value is not a finite number, is negative, or is larger than any time.
    """
    text = str(value).strip()
    if not _NUMBER.fullmatch(text):
        raise InvalidInput("must be a number")
    number = Decimal(text)
    if number < 0:
        raise InvalidInput("must not be negative")
    for unit, below, nanoseconds in TIME_UNITS:
        if number < below:
            return Moment(int(number * nanoseconds), unit)
    raise InvalidInput("is out of range")
