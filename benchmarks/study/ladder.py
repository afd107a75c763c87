"""The rung at which the policy's ladder ends, the first whose candidate the gate lets through, and the cost so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.study.summary import Row
from benchmarks.study.variants import Variant
from unlearning import Policy

_EXACT = "refit"


def rungs(policy: Policy, others: Sequence[Variant] = ()) -> list[Variant]:
    """A row for each rung before the exact one, with the configuration that the policy gives it.

    A rung that equals one of the `others` uses that row.
    """
    found = []
    for number, rung in enumerate(policy.ladder, start=1):
        if rung.method != _EXACT:
            own = Variant(f"rung_{number}_{rung.method}", rung.method, rung.config)
            same = (one for one in others if one.name == own.name and one.plain() == own.plain())
            found.append(next(same, own))
    return found


def ladder_outcomes(rows: Sequence[Row], climbed: Sequence[Variant]) -> list[dict[str, Any]]:
    """For each scenario and deletion, the result of each rung, the rung at which the ladder ends, and the seconds.

    A rung whose method cannot edit the adapter is skipped. The exact re-fit ends every ladder.
    """
    found = []
    for scenario, deletion in dict.fromkeys((row["scenario"], row["deletion"]) for row in rows):
        own = {
            row["method"]: row for row in rows if row["deletion"] == deletion and row["scenario"] == scenario
        }
        tried, end = [], _EXACT
        for variant in climbed:
            row = own.get(variant.row)
            if row is None:
                continue
            said = "skipped" if "error" in row else "let through" if row["publishable"] else "turned down"
            tried.append({"rung": variant.row, "said": said, "seconds": row.get("seconds")})
            if said == "let through":
                end = variant.row
                break
        last = own.get(_EXACT, {}) if end == _EXACT else {}
        spent = math.fsum(own[one["rung"]].get("seconds") or 0.0 for one in tried) + (
            last.get("seconds") or 0.0
        )
        found.append(
            {"scenario": scenario, "deletion": deletion, "ends_at": end, "seconds": spent, "tried": tried}
        )
    return found
