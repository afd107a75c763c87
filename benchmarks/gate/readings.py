"""What the levels alone show, for every user of every service and not only for the subjects of trials.

No edit is made and no gate is asked. Every user of a service has a level, an adapter that knows them, and adapters of
other services that never saw them. So each stratum has hundreds of users, at the cost of reading them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from benchmarks.gate.rates import share_of
from benchmarks.gate.strata import LENGTHS
from benchmarks.gate.trials import Plan, levels_of, truth_of, worlds_of
from benchmarks.study.workshop import Workshop
from unlearning.evaluation.report import NeverSeenGain
from unlearning.gate.band import Band


def readings(workshop: Workshop, plan: Plan) -> list[dict[str, Any]]:
    """One row for each service and length of history.

    `users` is the number of users, `told` those of them who lie outside the band under the adapter that knows them.
    `unseen` is the number of readings under adapters that never saw the user, `outside` those of them outside the band:
    the gate would fail them although they are the truth.
    """
    policy, truth = workshop.policy, truth_of(workshop, plan.parts)
    rows = []
    for number, world in enumerate(worlds_of(workshop, plan)):
        counts: dict[int, Counter[str]] = {low: Counter() for low in LENGTHS}
        for place, level in zip(world.places, levels_of(workshop, plan, number), strict=True):
            # The base's loss is taken as 0: it would shift all of these gains alike.
            band = Band.around(NeverSeenGain(-level.smoothed_nll, level.deviation, 0.0), policy)
            unseen = [band.z(-float(one)) for one in truth.readings[:, place]]
            counts[_stratum(len(world.everybody[place].train))].update(
                users=1,
                told=band.z(-level.seen_smoothed_nll) > policy.membership_z,
                unseen=len(unseen),
                outside=sum(abs(z) > policy.membership_z for z in unseen),
            )
        rows += [
            {"service": world.name(workshop.population.source, plan.parts), "from": low, **found}
            for low, found in counts.items()
            if found
        ]
    return rows


def by_length(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of `readings` added up over all services, with intervals that treat services as the unit."""
    found = []
    for low, high in pairwise((*LENGTHS, math.inf)):
        own = [row for row in rows if row["from"] == low]
        if own:
            found.append(
                {
                    "from": low,
                    "to": high if math.isfinite(high) else None,
                    "told": _share(own, "told", "users"),
                    "outside": _share(own, "outside", "unseen"),
                }
            )
    return found


def _share(rows: Sequence[Mapping[str, Any]], hits: str, of: str) -> dict[str, Any]:
    return share_of({row["service"]: row[hits] for row in rows}, {row["service"]: row[of] for row in rows})


def _stratum(items: int) -> int:
    return max(low for low in LENGTHS if low <= items)
