"""How often the gate is wrong, from trials whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from benchmarks.gate.rates import Rate, Row, rate, service
from benchmarks.gate.strata import strata
from benchmarks.gate.trials import CANDIDATES, LATER, LEVEL, OTHERS, RUNGS, TRUTH, WRONG_BEYOND

# A candidate nearer than this to adapters that never saw the user is right; one further away than `WRONG_BEYOND` is
# wrong. In between, either verdict can be defended.
RIGHT_WITHIN = 2.0
_EDGES = (-6.0, -4.0, -3.0, -2.0, 0.0, 2.0, 3.0, 4.0, 6.0)
_LENGTHS = (0, 20, 40, 80, 160)
_BANDS = (1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.25, 3.5)
_MEMBERSHIP = ("membership_z", "membership_z_after_rounding")
_UTILITY = ("relative_change_of_held_out_ndcg@10", "held_out_loss")


def summary(rows: Sequence[Row], *, band: float) -> dict[str, Any]:
    """Rates with their intervals (`rates.share_of`), by candidate, by truth and by how much the subject left behind.

    * `false_accept`: the share of wrong candidates (beyond `WRONG_BEYOND`) that the gate lets through.
      `false_accept_near` is the same for candidates no further off than twice that, which are not obvious.
      `false_accept_edited` is the same for candidates that steer towards the level.
    * `false_reject`: the share of true re-fits, which never saw the subject, that the gate fails.
    * The share of `inconclusive` verdicts, which neither let a candidate through nor fail it, is given with both.
    * `ladder`: what a service would publish for these deletions without a re-fit, which is the first of `RUNGS` that
      the gate let through.
    * `bands`: what other bands of membership would have let through, with all else unchanged.
    * `evidence`: what membership alone would let through, with measured levels and with levels that the gate predicts.

    Args:
        rows: of finished trials.
        band: the policy's band for membership.
    """
    refits = [row for row in rows if row["candidate"] == TRUTH]
    edited = [row for row in rows if row["candidate"] != TRUTH]
    wrong = [row for row in edited if abs(row["truth_z"]) > WRONG_BEYOND]
    right = [row for row in edited if abs(row["truth_z"]) <= RIGHT_WITHIN]
    published = _published(rows)
    return {
        "deletions": len(refits),
        "false_accept": rate(wrong, _accepted),
        "false_accept_near": rate(
            [row for row in wrong if abs(row["truth_z"]) <= 2 * WRONG_BEYOND], _accepted
        ),
        "false_accept_edited": rate([row for row in wrong if row["candidate"] not in OTHERS], _accepted),
        "false_reject": rate(refits, _failed),
        "refits_accepted": rate(refits, _accepted),
        "refits_inconclusive": rate(refits, _inconclusive),
        "right_accepted": rate(right, _accepted),
        "wrong_inconclusive": rate(wrong, _inconclusive),
        "ladder": {
            "served": rate(refits, lambda row: _deletion(row) in {_deletion(one) for one in published}),
            "wrong": rate(published, lambda row: abs(row["truth_z"]) > WRONG_BEYOND),
        },
        "candidates": [_candidate(name, rows) for name in (*CANDIDATES, LATER)],
        "by_truth": [
            {"from": low, "to": high, "accepted": rate(found, _accepted)}
            for low, high, found in _between(edited, "truth_z", (-math.inf, *_EDGES, math.inf))
        ],
        "by_items": [
            {
                "from": low,
                "to": high,
                "refits_inconclusive": rate(
                    [row for row in found if row["candidate"] == TRUTH], _inconclusive
                ),
                "refits_failed": rate([row for row in found if row["candidate"] == TRUTH], _failed),
                "kept_z": _mean([row["z"] for row in found if row["candidate"] == "do_nothing"]),
            }
            for low, high, found in _between(rows, "items", (*_LENGTHS, math.inf))
        ],
        "levels": {
            name: _moments([row[field] for row in refits])
            for name, field in (
                ("error of cross-fitted levels (nats)", "level_error"),
                ("z of true re-fits, cross-fitted levels", "z"),
                ("z of true re-fits, predicted levels", "predicted_z"),
                ("truth z of true re-fits", "truth_z"),
            )
        },
        "evidence": {
            name: {
                "wrong_inside": rate(wrong, partial(_up_to, field=field, band=band)),
                "refits_outside": rate(refits, partial(_beyond, field=field, band=band)),
            }
            for name, field in (("cross-fitted levels", "z"), ("predicted levels", "predicted_z"))
        },
        "bands": [
            {
                "band": other,
                "false_accept": rate(wrong, partial(_accepted_within, band=other)),
                "refits_outside": rate(refits, partial(_outside, band=other)),
            }
            for other in _BANDS
        ],
        "refusals": _refusals(refits),
        "refusals_of_edits": _refusals([row for row in rows if row["candidate"] == LEVEL]),
        "strata": strata(rows),
        "by_world": [
            {
                "world": world,
                **{
                    word: rate([row for row in refits if service(row) == world], holds)
                    for word, holds in (
                        ("pass", _accepted),
                        ("fail", _failed),
                        ("inconclusive", _inconclusive),
                    )
                },
            }
            for world in sorted({service(row) for row in refits})
        ],
    }


def _candidate(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    found = [row for row in rows if row["candidate"] == name]
    return {
        "candidate": name,
        "truth_z": _moments([row["truth_z"] for row in found]),
        "wrong": rate(found, lambda row: abs(row["truth_z"]) > WRONG_BEYOND),
        "pass": rate(found, lambda row: row["decision"] == "pass"),
        "fail": rate(found, _failed),
        "inconclusive": rate(found, _inconclusive),
        "seconds": _mean([row["seconds"] for row in found]),
    }


def _refusals(refits: Sequence[Row]) -> dict[str, Rate]:
    """For each measure, how often it fails these candidates."""
    names = sorted({name for row in refits for name in row["measures"]})
    return {
        name: rate(refits, lambda row, name=name: row["measures"].get(name, {}).get("passed") is False)  # type: ignore[misc]
        for name in names
    }


def _between(
    rows: Sequence[Row], field: str, edges: Sequence[float]
) -> list[tuple[float | None, float | None, list[Row]]]:
    return [
        (
            low if math.isfinite(low) else None,
            high if math.isfinite(high) else None,
            [row for row in rows if low <= row[field] < high],
        )
        for low, high in pairwise(edges)
    ]


def _published(rows: Sequence[Row]) -> list[Row]:
    """For each deletion, the accepted row of the first rung that has one."""
    found: dict[tuple[Any, int], Row] = {}
    for rung in RUNGS:
        for row in rows:
            if row["candidate"] == rung and _accepted(row):
                found.setdefault(_deletion(row), row)
    return list(found.values())


def _deletion(row: Row) -> tuple[Any, int]:
    return service(row), row["subject"]


def _accepted(row: Row) -> bool:
    return bool(row["accepted"])


def _accepted_within(row: Row, band: float) -> bool:
    """Whether the gate would let the row through with this band of membership, by the rule of a run with one subject.

    As for the gate, a subject who lay inside the band before the edit is inconclusive.
    """
    passed = {name: found["passed"] for name, found in row["measures"].items() if name not in _MEMBERSHIP}
    useful = any(passed.get(name) for name in _UTILITY)
    told = row["parent_z"] > band and not _outside(row, band)
    return useful and told and all(word is not False for word in passed.values())


def _outside(row: Row, band: float) -> bool:
    places = [row["measures"][name]["value"] for name in _MEMBERSHIP]
    return any(place is None or abs(place) > band for place in places)


def _up_to(row: Row, field: str, band: float) -> bool:
    return bool(abs(row[field]) <= band)


def _beyond(row: Row, field: str, band: float) -> bool:
    return not _up_to(row, field, band)


def _failed(row: Row) -> bool:
    return bool(row["decision"] == "fail")


def _inconclusive(row: Row) -> bool:
    return bool(row["decision"] == "inconclusive")


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _moments(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {"mean": None, "deviation": None, "lowest": None, "highest": None}
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    return {"mean": mean, "deviation": deviation, "lowest": min(values), "highest": max(values)}
