"""Plots of figures along an axis: the threshold, the attacker's steps, the number of requests."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from benchmarks.report.canvas import look, spans_orders
from benchmarks.report.measured import REFIT, Rows
from benchmarks.report.paper import thresholds
from benchmarks.study.variants import CONTROLS
from unlearning.methods.registry import RECOMMENDED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SWEPT = (
    ("kl", "KL from the original (nats)"),
    ("forget_recall@10", "forget Recall@10"),
    ("test_recall@10", "held-out Recall@10"),
)
_NEAREST = 4


def threshold_sweep(figure: Figure, rows: Rows, scenario: str) -> bool:
    """The three figures of the U-CAN paper, by U-CAN's risk threshold."""
    swept = thresholds(rows)
    if len(swept) < 2:
        return False
    figure.set_size_inches(9.6, 3.4)
    for place, (name, title) in enumerate(_SWEPT):
        axes = figure.add_subplot(1, len(_SWEPT), place + 1)
        values = [rows.values(row, name) for row in swept.values()]
        means = [fmean(own) if own else float("nan") for own in values]
        spreads = [stdev(own) if len(own) > 1 else 0.0 for own in values]
        axes.errorbar(
            list(swept), means, yerr=spreads, capsize=2, linewidth=1.2, label="U-CAN", **look("ucan").points
        )
        for method, dashes in ((REFIT, (4, 2)), ("do_nothing", (1, 2))):
            level = rows.mean(method, name)
            if level is not None:
                axes.axhline(
                    level, color=look(method).colour, linewidth=1.2, linestyle=(0, dashes), label=method
                )
        axes.set_xlabel("risk threshold")
        axes.set_ylabel(title)
        if place == 0:
            axes.legend()
    figure.suptitle(f"{scenario}: U-CAN's risk threshold", fontsize=10)
    return True


def relearning(figure: Figure, rows: Rows, scenario: str) -> bool:
    """How fast the forgotten items come back under relearning, for a few methods."""
    if not rows.measured("relearning.adapter"):
        return False
    figure.set_size_inches(9.6, 4.0)
    shared: Axes | None = None
    for place, (trained, title) in enumerate((("adapter", "the whole adapter"), ("gates", "gates alone"))):
        axes = shared = figure.add_subplot(1, 2, place + 1, sharey=shared)
        for method in _told_apart(rows):
            curves = [
                row[f"relearning.{trained}"] for row in rows.of(method) if f"relearning.{trained}" in row
            ]
            if not curves:
                continue
            steps = curves[0]["steps"]
            means = [fmean(values) for values in zip(*(curve["nll"] for curve in curves), strict=True)]
            _line(axes, method, range(len(steps)), means)
            axes.set_xticks(range(len(steps)), [str(step) for step in steps])
        axes.set_title(f"training {title}", fontsize=9)
        axes.set_xlabel("attacker's steps")
        if place == 0:
            axes.set_ylabel("NLL of items the attacker does not hold (nats)")
        else:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.suptitle(f"{scenario}: relearning", fontsize=10)
    return True


def requests(figure: Figure, rows: Rows, scenario: str) -> bool:
    """How the distance to re-fits grows with the number of requests."""
    checkpoints = [number for number in rows.checkpoints if number is not None]
    if len(checkpoints) < 2:
        return False
    figure.set_size_inches(8.4, 4.4)
    axes = figure.add_subplot()
    drawn: list[float] = []
    for method in rows.compared:
        found = {number: rows.at(number).mean(method, "distance") for number in checkpoints}
        known = {number: value for number, value in found.items() if value is not None}
        if known:
            _line(axes, method, list(known), list(known.values()))
            drawn += known.values()
    if drawn and spans_orders(drawn):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(checkpoints)
    axes.set_xlabel("requests honoured, one after the other")
    axes.set_ylabel("distance to re-fits (nats); less is better")
    axes.set_title(f"{scenario}: distance after several requests")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return True


def _line(axes: Axes, method: str, x: Sequence[float], y: Sequence[float]) -> None:
    chosen = look(method)
    axes.plot(
        x,
        y,
        linewidth=1.8 if method == REFIT else 1.1,
        linestyle=(0, (1, 2)) if chosen.control else "-",
        label=f"{method} (floor)" if method == REFIT else method,
        **chosen.points,
    )


def _told_apart(rows: Rows) -> list[str]:
    """The methods to draw: the re-fit, doing nothing, U-CAN, the recommended method and the nearest to the re-fits."""
    distances = {
        method: distance
        for method in rows.compared
        if method not in (*CONTROLS, REFIT, "ucan_default")
        and (distance := rows.mean(method, "distance")) is not None
    }
    nearest = sorted(distances, key=lambda method: distances[method])[:_NEAREST]
    wanted = {*nearest, "ucan", RECOMMENDED, REFIT, "do_nothing"}
    return [method for method in rows.methods if method in wanted]
