"""The gate's error rates by length of history, by number of users of a service, and by density of its data.

A rate over everything can hide that one kind of subject is always judged wrongly. So each stratum is judged by itself
and gets a `word`: whether its measurements show that the gate may decide about it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from benchmarks.gate.rates import Rate, Row, rate, service
from benchmarks.gate.trials import RUNGS, TRUTH, WRONG_BEYOND

# The lower bound of each stratum: training items, users, events per user and item. Readings cost less than trials, so
# their strata are finer (`LENGTHS`).
LENGTHS = (1, 3, 6, 11, 21, 51)
HISTORIES = (1, 3, 6, 11, 51)
SIZES = (0, 100, 300, 1000)
DENSITIES = (0.0, 0.005, 0.02)
# The highest rates at which the gate may decide. For false accepts: of the estimate, and of the upper end of its
# interval by service.
FALSE_ACCEPTS, FALSE_ACCEPTS_AT_MOST, FALSE_REJECTS = 0.02, 0.05, 0.1
# The measures of the subject. All other measures concern the service, whatever the subject's history.
_OWN = ("membership_z", "membership_z_after_rounding", "tail_z")
_KINDS = (("items", HISTORIES), ("service_users", SIZES), ("density", DENSITIES))


def strata(rows: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """The strata by `items`, `service_users` and `density`, as far as the rows have these fields. Strata without rows
    are left out.

    `told` is how often the subject lay outside the band before any edit. The gate is inconclusive about all other
    subjects, so false accepts are counted among the told alone. `false_reject` counts true re-fits that fail a measure
    of the subject, `refits_failed` those that fail any measure. `word` is "decides" if at most `FALSE_ACCEPTS` of the
    wrong candidates came through, the interval by service ends below `FALSE_ACCEPTS_AT_MOST`, and at most
    `FALSE_REJECTS` of the true re-fits were failed. Otherwise it is "inconclusive": there are too many errors, or too
    few trials to show that errors are rare.
    """
    return {
        field: [
            _stratum([row for row in rows if low <= row[field] < high], low, high)
            for low, high in pairwise((*edges, math.inf))
            if any(low <= row[field] < high for row in rows)
        ]
        for field, edges in _KINDS
        if all(field in row for row in rows)
    }


def _stratum(rows: Sequence[Row], low: float, high: float) -> dict[str, Any]:
    refits = _of(rows, TRUTH)
    told = {
        (service(row), row["subject"]) for row in _of(rows, "do_nothing") if row["decision"] != "inconclusive"
    }
    wrong = [
        row
        for row in rows
        if row["candidate"] != TRUTH
        and abs(row["truth_z"]) > WRONG_BEYOND
        and (service(row), row["subject"]) in told
    ]
    served = {(service(row), row["subject"]) for row in rows if row["candidate"] in RUNGS and row["accepted"]}
    found: dict[str, Any] = {
        "from": low,
        "to": high if math.isfinite(high) else None,
        "deletions": len(refits),
        "services": len({service(row) for row in rows}),
        "false_accept": rate(wrong, _accepted),
        "false_accept_near": rate(
            [row for row in wrong if abs(row["truth_z"]) <= 2 * WRONG_BEYOND], _accepted
        ),
        "false_reject": rate(refits, _rejected_for_the_subject),
        "refits_failed": rate(refits, _worded("fail")),
        "refits_inconclusive": rate(refits, _worded("inconclusive")),
        "served": rate(refits, lambda row: (service(row), row["subject"]) in served),
        "told": rate(_of(rows, "do_nothing"), lambda row: row["decision"] != "inconclusive"),
    }
    return found | {"word": word(found["false_accept"], found["false_reject"])}


def word(false_accept: Rate, false_reject: Rate) -> str:
    """Whether these rates show that the gate may decide."""
    accepts, at_most, rejects = (
        false_accept["share"],
        false_accept["high_by_service"],
        false_reject["share"],
    )
    if accepts is None or at_most is None or rejects is None:
        return "inconclusive"
    shown = accepts <= FALSE_ACCEPTS and at_most <= FALSE_ACCEPTS_AT_MOST and rejects <= FALSE_REJECTS
    return "decides" if shown else "inconclusive"


def _of(rows: Sequence[Row], candidate: str) -> list[Row]:
    return [row for row in rows if row["candidate"] == candidate]


def _accepted(row: Row) -> bool:
    return bool(row["accepted"])


def _rejected_for_the_subject(row: Row) -> bool:
    measures: Mapping[str, Any] = row["measures"]
    return any(measures.get(name, {}).get("passed") is False for name in _OWN)


def _worded(decision: str) -> Callable[[Row], bool]:
    return lambda row: bool(row["decision"] == decision)
