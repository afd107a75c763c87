"""Strata: ranges of history lengths, and whether the gate decides about histories in each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from unlearning.errors import InvalidPolicy


@dataclass(frozen=True)
class Stratum:
    """Histories of at least `items` training items, up to where the next stratum begins.

    `decides` is False where `lethe bench gate` measured nothing or shows that the gate errs too often. Membership is
    then `inconclusive`, up to the alarm of an exact method. The default policy decides only about lengths that its
    committed report holds and judges correctly.
    """

    items: int
    decides: bool


def check_strata(strata: Sequence[Stratum]) -> None:
    """Check that every history belongs to a stratum.

    Raises:
        InvalidPolicy: a length without a stratum, or strata out of order.
    """
    firsts = [stratum.items for stratum in strata]
    if not firsts or firsts[0] != 1:
        below = f"fewer than {firsts[0]} training items" if firsts else "any length"
        raise InvalidPolicy(
            f"strata say nothing about histories of {below}: begin with 1 item, and with "
            '"decides": false where nobody measured'
        )
    if any(later <= earlier for earlier, later in itertools.pairwise(firsts)):
        raise InvalidPolicy(f"strata must begin at ever more items, not at {firsts}")


def stratum_of(items: int, strata: Sequence[Stratum]) -> Stratum:
    """The stratum of a history with this many training items."""
    return next(stratum for stratum in reversed(strata) if stratum.items <= items)
