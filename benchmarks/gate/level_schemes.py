"""The cost and the error of each scheme for making levels: `lethe bench levels`.

The truth is known for these services, as in `lethe bench gate`: some of a service's users are unknown to the other
fits, which show each such user's true level. Each scheme makes the levels of the same services; nothing is forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Unpack

from benchmarks.gate.trials import Plan, truth_of, worlds_of
from benchmarks.gate.worlds import Users, World
from benchmarks.study import orders
from benchmarks.study.orders import FitOrder
from benchmarks.study.session import Means, session
from benchmarks.study.workshop import Workshop
from unlearning.evaluation.report import NeverSeenGain
from unlearning.gate.band import Band
from unlearning.levels.cross_fitting import HALVES, Scheme, cross_fit, parts

# Each of four samples holds one user in so many.
_SHARES = (8, 16)


def schemes(users: int) -> dict[str, Scheme]:
    """The schemes by name, for a service of so many users."""
    return {
        "two pairs of halves": HALVES,
        "four quarters": Scheme(rounds=1, parts=4),
        **{
            f"four samples of one in {share}": Scheme(rounds=1, parts=4, most=max(users // share, 1))
            for share in _SHARES
        },
    }


def run(
    data: Path,
    *,
    users: Users = "report",
    worlds: int = 4,
    **means: Unpack[Means],
) -> dict[str, Any]:
    """Make levels by every scheme in `worlds` services; returns JSON values.

    Args:
        data: the interactions. `means` are those of `session`.
        users: `report` for reported figures, `development` for choosing a scheme.
        worlds: number of services.
    """
    plan = Plan(users, worlds, 1)
    with session(data, **means) as study:
        workshop = study.workshop
        found = worlds_of(workshop, plan)
        wanted = [shadow.order for shadow in orders.shadows(workshop.population, parts=plan.parts)]
        wanted += [
            order
            for world in found
            for scheme in schemes(len(world.places)).values()
            for order in _fits(world, scheme)
        ]
        study.fit(wanted)
        rows = [
            _row(workshop, plan, world, name, scheme)
            for world in found
            for name, scheme in schemes(len(world.places)).items()
        ]
        return study.result(
            "levels",
            {
                "users": users,
                "worlds": worlds,
                "users_of_a_world": [len(world.places) for world in found],
            },
            membership_z=workshop.policy.membership_z,
            schemes=[_over_services(name, rows) for name in schemes(1)],
            rows=rows,
        )


def _fits(world: World, scheme: Scheme) -> list[FitOrder]:
    users = world.users
    return [
        FitOrder(
            f"part of world {world.number}", tuple(users[place].train for place in part.members), part.seed
        )
        for part in parts(len(users), scheme, world.number)
    ]


def _row(workshop: Workshop, plan: Plan, world: World, name: str, scheme: Scheme) -> dict[str, Any]:
    """How far the levels of one service lie from the truth, and how a band around them would judge its users."""
    policy, truth = workshop.policy, truth_of(workshop, plan.parts)
    levels = cross_fit(
        workshop.base,
        workshop.fit(world.shadow.order).adapter,
        world.users,
        adapter_config=workshop.regime.adapter_config,
        training=workshop.regime.training(world.number),
        smoothing=policy.evaluation.smoothing,
        seed=world.number,
        scheme=scheme,
        fit=workshop.fits.kept,
    )
    errors, told, outside, unseen = [], 0, 0, 0
    for place, level in zip(world.places, levels, strict=True):
        errors.append(truth.gap(place, level.smoothed_nll))
        # The base's loss is taken as 0: it would shift all of these gains alike.
        band = Band.around(NeverSeenGain(-level.smoothed_nll, level.deviation, 0.0), policy)
        told += band.z(-level.seen_smoothed_nll) > policy.membership_z
        places = [band.z(-float(one)) for one in truth.readings[:, place]]
        unseen += len(places)
        outside += sum(abs(z) > policy.membership_z for z in places)
    fits = [workshop.fit(order) for order in _fits(world, scheme)]
    whole = workshop.fit(world.shadow.order)
    middle = fmean(errors)
    return {
        "service": world.name(workshop.population.source, plan.parts),
        "scheme": name,
        "users": len(world.places),
        "fits": len(fits),
        "users_fitted": sum(len(order.sequences) for order in _fits(world, scheme)),
        "error": middle,
        "error_deviation": math.sqrt(fmean((error - middle) ** 2 for error in errors)),
        "deviation": fmean(level.deviation for level in levels),
        "told": told,
        "outside": outside,
        "unseen": unseen,
        # The cost of the fits alone. Each scheme also reads every user once per fit.
        "refits": sum(fit.cost.forwards for fit in fits) / whole.cost.forwards,
        "seconds": sum(fit.cost.seconds for fit in fits),
    }


def _over_services(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    own = [row for row in rows if row["scheme"] == name]
    return {
        "scheme": name,
        "fits": own[0]["fits"],
        "users_fitted": sum(row["users_fitted"] for row in own) / sum(row["users"] for row in own),
        "refits": fmean(row["refits"] for row in own),
        "error": fmean(row["error"] for row in own),
        "error_by_service": [row["error"] for row in own],
        "error_deviation": fmean(row["error_deviation"] for row in own),
        "deviation": fmean(row["deviation"] for row in own),
        "told": sum(row["told"] for row in own) / sum(row["users"] for row in own),
        "outside": sum(row["outside"] for row in own) / sum(row["unseen"] for row in own),
    }
