"""The table of `lethe bench regime`."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Any

from benchmarks.report.cells import table

_COLUMNS = (
    "model", "held-out R@1", "R@10", "loss", "own tail of the forgotten R@1", "R@10", "loss", "seconds",
)  # fmt: skip
_SHOWN = ("held_out@1", "held_out@10", "held_out_nll", "own_tail@1", "own_tail@10", "own_tail_nll")


def regime(result: Mapping[str, Any]) -> list[str]:
    """Base, adapter and re-fit, and whether the adapter serves and remembers as a study needs it."""
    data, (bare, *_) = result["data"], result["rows"]
    rows = [
        [row["model"], *(f"{row[name]:.3f}" for name in _SHOWN), _seconds(row["seconds"])]
        for row in result["rows"]
    ]
    ratios = [
        (result["held_out_over_base"], result["held_out_wanted"], "held-out, adapter over base"),
        (
            result["own_tail_over_refit"],
            result["own_tail_wanted"],
            "own tail of the forgotten, adapter over re-fit",
        ),
    ]
    holds = all(ratio is not None and ratio >= wanted for ratio, wanted, _ in ratios)
    said = [
        f"{title} {'–' if ratio is None else f'{ratio:.2f}'} (at least {wanted:g})"
        for ratio, wanted, title in ratios
    ]
    told = (
        f"Prompt style {result['style']}. Data: {data['source']}, {data['items']} items; the base is of "
        f"{data['panel_users']} panel users with {data['panel_events']} events, the adapter of "
        f"{data['service_users']} with {data['service_events']}; {data['forgotten_users']} {data['users']} users are "
        f"forgotten, held-out events are those of {data['asked_users']}. "
        f"{data['options']} options an event. Seed {data['seed']}."
    )
    counted = (
        f"Held-out: {bare['held_out_events']} events, own tails: {bare['own_tail_events']}. Losses are in nats; one of "
        f"{data['options']} options told by chance has {log(data['options']):.2f}, and is right in "
        f"{1 / data['options']:.3f}."
    )
    verdict = f"Regime: {'; '.join(said)}. It {'holds' if holds else 'does NOT hold'}."
    return [told, "", verdict, "", *table(_COLUMNS, rows), "", counted]


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
