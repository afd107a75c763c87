"""The gate's error rates by how long histories are, how many users a service has, and how dense its data are.

A rate over everything can hide that a kind of subject is always judged wrongly. So each stratum is judged by itself,
and gets a word: whether what was measured there shows that the gate may decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from benchmarks.gate.rates import Rate, Row, rate, service
from benchmarks.gate.trials import RUNGS, TRUTH, WRONG_BEYOND

# First number of training items, users, events a user and item of each stratum. Readings cost less than trials, so
# they are told apart more finely (`LENGTHS`).
LENGTHS = (1, 3, 6, 11, 21, 51)
HISTORIES = (1, 3, 6, 11, 51)
SIZES = (0, 100, 300, 1000)
DENSITIES = (0.0, 0.005, 0.02)
# The most that may be wrong: of the false accepts the estimate and what their interval by service leaves open.
FALSE_ACCEPTS, FALSE_ACCEPTS_AT_MOST, FALSE_REJECTS = 0.02, 0.05, 0.1
# What is about the subject; the others are about the service, whatever the subject's history.
_OWN = ("membership_z", "membership_z_after_rounding", "tail_z")
_KINDS = (("items", HISTORIES), ("service_users", SIZES), ("density", DENSITIES))


def strata(rows: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """By `items`, `service_users` and `density`, as far as the rows tell them: one entry for each that has rows.

    `told` is how often the subject lay outside the band before any edit. Of the others the gate says nothing, so false
    accepts are counted among the told alone: silence is no judgement. `false_reject` counts true re-fits that fail by
    what is about the subject; `refits_failed` by whatever. `word` is "decides" where at most `FALSE_ACCEPTS` of the
    wrong candidates came through, the interval by service ends below `FALSE_ACCEPTS_AT_MOST`, and at most
    `FALSE_REJECTS` of the true re-fits were failed; otherwise "inconclusive": too many errors, or too few trials to
    show that there are few.
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
