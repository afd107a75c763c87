"""The gate's own error rates on simulated deletions: `lethe bench gate`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

from benchmarks.gate.batches import Batches, batch_rates
from benchmarks.gate.power import power_by_items
from benchmarks.gate.rates import service
from benchmarks.gate.readings import by_length, readings
from benchmarks.gate.summary import summary
from benchmarks.gate.trials import Plan, later_rungs, worlds_of
from benchmarks.study import orders
from benchmarks.study.pool import Work
from benchmarks.study.session import Means, session
from benchmarks.study.workshop import Workshop
from unlearning import Policy, default_policy

# The result that `--report` prints. This command made it on users on whom no threshold was chosen.
COMMITTED = Path(__file__).parent / "report.json"
DEFAULT = Plan("report", worlds=8, deletions=25)
# Fields that a joined result leaves out of each row.
_LEFT_OUT = ("measures", "objections")


def every_stratum(policy: Policy) -> Policy:
    """The policy with a gate that decides about every length of history: the benchmark measures whether it may."""
    return replace(policy, strata=tuple(replace(one, decides=True) for one in policy.strata))


class _EveryStratum(Workshop):
    @cached_property
    def policy(self) -> Policy:
        """The default policy, which here judges histories of every length."""
        return every_stratum(default_policy())


def run(
    data: Path,
    *,
    plan: Plan = DEFAULT,
    with_batches: bool = True,
    **means: Unpack[Means],
) -> dict[str, Any]:
    """Simulate the plan's deletions; returns every row and the rates, as JSON values.

    Args:
        data: the interactions. `means` are those of `session`.
        plan: which users are forgotten. Thresholds are chosen on `development` users, rates are reported on the others.
        with_batches: whether to forget users who are inconclusive one by one in batches as well.

    Raises:
        TooFewUsers: a world has fewer users of this kind than deletions; raised before any training.
    """
    with session(data, kind=_EveryStratum, **means) as study:
        workshop, policy = study.workshop, study.workshop.policy
        found = worlds_of(workshop, plan)
        wanted = [shadow.order for shadow in orders.shadows(workshop.population, parts=plan.parts)]
        wanted += [order for world in found for order in (*world.level_fits, world.refit)]
        study.fit(wanted)
        trials = plan.trials()
        study.work(trials, "deletions")
        later = later_rungs(plan, study.rows, policy)
        study.work(later, "later rungs")
        batches = [Batches(plan, number) for number in range(plan.worlds)] if with_batches else []
        study.work(batches, "services' batches")
        done: list[Work] = [*trials, *later]
        rows, batch_rows = study.rows(*done), study.rows(*batches)
        read = readings(workshop, plan)
        return study.result(
            "gate",
            {
                "users": plan.users,
                "worlds": plan.worlds,
                "parts": plan.parts,
                "users_of_a_world": [len(world.places) for world in found],
            },
            policy={"name": policy.name, "hash": policy.hash, "membership_z": policy.membership_z},
            **summary(rows, band=policy.membership_z),
            power=power_by_items(workshop, found, plan.parts),
            by_length=by_length(read),
            readings=read,
            batches=batch_rates(batch_rows),
            rows=rows,
            batch_rows=batch_rows,
        )


def join(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Join several results of this command, for example on other data, of other sizes or with more services.

    The joined result leaves out what concerns one population alone (its training, the power by number of items), and
    the rows' single measures and objections, which make up most of a file.

    Raises:
        CannotJoin: not all of them are results of `lethe bench gate` under one policy on one kind of users, one of them
            is already joined, or one service is in two of them.
    """
    policies = {(one.get("benchmark"), *(one.get("policy") or {}).values()) for one in results}
    kinds = {(one.get("data") or {}).get("users") for one in results}
    if len(policies) != 1 or len(kinds) != 1 or next(iter(policies))[0] != "gate":
        raise CannotJoin(
            "these are not results of the gate's benchmark under one policy on one kind of users"
        )
    rows = [row for one in results for row in one["rows"]]
    if not all(field in row for row in rows for field in _LEFT_OUT):
        raise CannotJoin("one of these results is joined already: put those together that it was joined from")
    read = [row for one in results for row in one.get("readings", [])]
    batch_rows = [row for one in results for row in one.get("batch_rows", [])]
    services = [{service(row) for row in one["rows"]} for one in results]
    if sum(map(len, services)) != len(set().union(*services)):
        raise CannotJoin("two of these results hold the same service")
    first = results[0]
    return {
        "benchmark": "gate",
        "environment": first["environment"],
        "data": {
            "source": "; ".join(one["data"]["source"] for one in results),
            "users": first["data"]["users"],
            "worlds": sum(one["data"]["worlds"] for one in results),
            "users_of_a_world": [size for one in results for size in one["data"]["users_of_a_world"]],
        },
        "policy": first["policy"],
        "commits": sorted({commit for one in results for commit in one["commits"]}),
        "wall_seconds": sum(one["wall_seconds"] for one in results),
        **summary(rows, band=first["policy"]["membership_z"]),
        "power": [],
        "by_length": by_length(read),
        "readings": read,
        "batches": batch_rates(batch_rows),
        "rows": [{name: value for name, value in row.items() if name not in _LEFT_OUT} for row in rows],
        "batch_rows": batch_rows,
    }


class CannotJoin(ValueError):
    """The results cannot be joined; the message says why."""


def committed() -> dict[str, Any]:
    """The packaged result.

    Raises:
        FileNotFoundError: this installation has no packaged result.
    """
    return dict(json.loads(COMMITTED.read_text()))
