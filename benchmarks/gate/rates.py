"""Shares with their intervals, over trials and over the services that the trials come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unlearning.levels.student_t import quantile
from unlearning.policy.skipping import wilson

Row = Mapping[str, Any]
Rate = dict[str, float | int | None]

_Z95 = 1.959963984540054


def rate(rows: Sequence[Row], holds: Callable[[Row], bool]) -> Rate:
    """The share of the rows for which `holds` is true, with counts and 95 % intervals; see `share_of`."""
    hits, totals = Counter[Any](), Counter[Any]()
    for row in rows:
        totals[service(row)] += 1
        hits[service(row)] += bool(holds(row))
    return share_of(hits, totals)


def service(row: Row) -> Any:
    """The service that a row is about. Within one measurement the world identifies it."""
    return row.get("service", row["world"])


def share_of(hits: Mapping[Any, int], totals: Mapping[Any, int]) -> Rate:
    """The share of `hits` in `totals`, both by service, with two Wilson intervals (95 %).

    `low` and `high` treat trials as independent. `low_by_service` and `high_by_service` treat services as the unit,
    because the trials of a service share adapters. For them the number of trials is divided by the design effect (the
    ratio of the share's variance over services to that of independent trials), and by a correction from Student's t for
    few services (Korn and Graubard 1998, for surveys). If all trials agree, there is no design effect to estimate, and
    only the correction applies. Both are None for a single service, which says nothing about others. Every field is
    None if there is nothing to count.
    """
    count, total = sum(hits.values()), sum(totals.values())
    found: Rate = {"count": count, "of": total, "services": len(totals)}
    if not total:
        return found | dict.fromkeys(("share", "low", "high", "low_by_service", "high_by_service"))
    share = count / total
    low, high = wilson(share, total, _Z95)
    found |= {"share": share, "low": low, "high": high, "low_by_service": None, "high_by_service": None}
    services = len(totals)
    if services > 1:
        spread = sum((hits.get(one, 0) - share * of) ** 2 for one, of in totals.items())
        between, alone = services / (services - 1) * spread / total, share * (1.0 - share)
        effect = max(between / alone, 1.0) if alone > 0 else 1.0
        few = (quantile(0.975, services - 1) / _Z95) ** 2
        found["low_by_service"], found["high_by_service"] = wilson(share, total / (effect * few), _Z95)
    return found
