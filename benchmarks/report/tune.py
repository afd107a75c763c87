"""The tables of `lethe bench tune`: what the search on development users found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report.cells import MISSING, number, section, significant, table
from benchmarks.report.measured import REFIT, labelled
from benchmarks.study.variants import CONTROLS

Trial = Mapping[str, Any]


def tune(result: Mapping[str, Any]) -> list[str]:
    """One table per setting."""
    about = (
        f"Data: {result['data']['source']}, {result['data']['development_users']} development users, none of whom is "
        f"forgotten in a study. Up to {result['trials_per_method']} trials per method; the least distance to re-fits "
        "is chosen."
    )
    lines = [about, ""]
    for setting in dict.fromkeys(row["setting"] for row in result["rows"]):
        own = [row for row in result["rows"] if row["setting"] == setting]
        lines += section(
            f"Setting: {setting}",
            _table(own, result["chosen"].get(setting, {})),
            "Distances in nats. The re-fit's is the floor between exact re-fits with different seeds.",
        )
    return lines[:-1]


def _table(rows: Sequence[Trial], chosen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    by_method: dict[str, list[Trial]] = {}
    for row in rows:
        by_method.setdefault(row["method"], []).append(row)
    references = [
        number(_distance(by_method[name][0]) if name in by_method else None, 3)
        for name in (REFIT, "do_nothing")
    ]
    shrink = _best(by_method.get("uniform_shrink", ()), chosen.get("uniform_shrink"))
    body = []
    for method, trials in by_method.items():
        best = _best(trials, chosen.get(method))
        body.append(
            [
                labelled(method),
                str(len(trials)),
                _config(best["config"]) if best is not None else MISSING,
                number(_distance(best), 3),
                number(_distance(trials[0]), 3) + ("" if trials[0]["config"] else " (defaults)"),
                *references,
                _against(method, _distance(best), by_method, shrink),
                significant(best.get("seconds"), 3) if best is not None else MISSING,
            ]
        )
    return table(
        [
            "method",
            "trials",
            "chosen",
            "distance",
            "of the first trial",
            "of the re-fit (floor)",
            "of do_nothing",
            "beats",
            "seconds",
        ],
        body,
    )


def _best(trials: Sequence[Trial], config: Mapping[str, Any] | None) -> Trial | None:
    """The chosen trial. For a method with nothing to choose, its only trial."""
    if config is None:
        return trials[0] if len(trials) == 1 else None
    return next((trial for trial in trials if trial["config"] == config), None)


def _distance(trial: Trial | None) -> float | None:
    return None if trial is None else trial.get("distance")


def _against(
    method: str, own: float | None, by_method: Mapping[str, Sequence[Trial]], shrink: Trial | None
) -> str:
    if method in CONTROLS:
        return "control"
    controls = {
        name: _distance(shrink if name == "uniform_shrink" else by_method[name][0])
        for name in CONTROLS
        if name in by_method
    }
    known = {name: value for name, value in controls.items() if value is not None}
    if own is None or not known:
        return MISSING
    lost = [name for name, value in known.items() if value <= own]
    return f"does not beat {', '.join(lost)}" if lost else f"beats {', '.join(known)}"


def _config(config: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in config.items()) or "defaults"


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value).strip('"')
