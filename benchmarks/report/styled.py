"""Extra sections for studies on other prompt styles: their size, where the ladder ends, and the power by items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report.cells import number, percent, section, table

_LADDER = (
    "As the default policy would climb it, were its gate measured on this style: it is not, and a service forgets "
    "every user of this style by the exact re-fit."
)
_POWER = (
    "Told: above the band of a model that never saw them. Losses of so many events of each user, drawn from those they "
    "have, under the adapter that knows them and under two halves that do not. Events keep the history before them, "
    "which a user with few of them would not have: this flatters."
)


def regime_line(regime: Mapping[str, Any]) -> str:
    """Whether forgetting is measurable, by the figures that the style uses."""
    test, member = regime["test_recall_original_over_base"], regime["member_recall_original_over_refit"]
    said = {
        True: "holds",
        False: "does NOT hold: what follows says little about forgetting",
        None: "could not be measured",
    }[regime["holds"]]
    return (
        f"Regime: {regime.get('held_out', 'test_recall@10')}, original over base, {number(test, 2)} "
        f"(at least {regime['test_recall_required']:g}); {regime.get('own_tail', 'forget_recall@10')}, original over "
        f"re-fit, {number(member, 2)} (at least {regime['member_recall_required']:g}). It {said}."
    )


def size_of(result: Mapping[str, Any]) -> list[str]:
    """How much of the data and of the language model is used; [] for item tokens, which use everything."""
    size = result.get("size")
    if not size:
        return []
    training = result["training"]
    said = [
        f"the latest {size['events_of_a_user']} training events of each",
        f"{size['options']} options an event",
    ]
    if size["draws"] > 1:
        said.append(f"{size['draws']} draws of candidates where a loss is measured")
    if "layers" in training:
        said.append(
            f"the first {training['layers']} of SmolLM2's 30 layers, the adapter on the attention of the last of them"
        )
    return said


def styled(result: Mapping[str, Any]) -> list[str]:
    """The sections of one result; [] for item tokens."""
    lines: list[str] = []
    if result.get("ladder"):
        lines += section("The default ladder", _ladder(result["ladder"]), _LADDER)
    if result.get("power"):
        lines += section("How many events of a user tell", _power(result["power"]), _POWER)
    return lines


def _ladder(ladder: Sequence[Mapping[str, Any]]) -> list[str]:
    body = [
        [
            climb["deletion"],
            ", ".join(f"{step['rung']} {step['said']}" for step in climb["tried"]),
            climb["ends_at"],
            number(climb["seconds"], 1),
        ]
        for climb in ladder
    ]
    return table(["deletion", "rungs", "ends at", "seconds of edits and re-fit"], body)


def _power(power: Sequence[Mapping[str, Any]]) -> list[str]:
    body = [
        [
            entry["items"],
            entry["subjects"],
            number(entry["median_z"], 2),
            number(entry["deviation"], 2),
            percent(entry["told"]),
        ]
        for entry in power
    ]
    return table(
        ["events", "users", "median z before any edit", "deviation of the band (nats)", "told"], body
    )
