"""Scatter plots with one point per method: what the method forgets against what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from benchmarks.report.canvas import look, spans_orders
from benchmarks.report.labels import name_points
from benchmarks.report.measured import REFIT, Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# For each method the x values and the y values, one of each per row.
Points = Mapping[str, tuple[Sequence[float], Sequence[float]]]
# Shorter times are drawn as this: a control takes microseconds, which would squeeze the methods into a corner.
_SHORTEST = 1e-3


def forgetting_utility(figure: Figure, rows: Rows, scenario: str) -> bool:
    """The distance of the subjects' NLL from re-fits, against held-out Recall@10."""
    rows, when = _last(rows)
    points = _points(rows, "forget_nll_gap", "test_recall@10")
    if not points:
        return False
    axes = _scatter(figure, points)
    axes.set_xlabel("forget NLL, mean absolute difference to re-fits per user (nats); less is better")
    axes.set_ylabel("held-out Recall@10; more is better")
    axes.set_title(f"{scenario}{when}: forgetting against utility")
    name_points(figure, axes, _means(points))
    return True


def time_quality(figure: Figure, rows: Rows, scenario: str) -> bool:
    """The seconds of a run, against the distance to re-fits."""
    rows, when = _last(rows)
    points = _points(rows, "seconds", "distance")
    if not points:
        return False
    points = {method: ([max(seconds, _SHORTEST) for seconds in x], y) for method, (x, y) in points.items()}
    axes = _scatter(figure, points)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(f"seconds (log; what takes less than {_SHORTEST:g} s stands at {_SHORTEST:g} s)")
    axes.set_ylabel("distance to re-fits (nats); less is better")
    axes.set_title(f"{scenario}{when}: time against quality")
    name_points(figure, axes, _means(points))
    return True


def _last(rows: Rows) -> tuple[Rows, str]:
    requests = rows.checkpoints[-1]
    return (rows, "") if requests is None else (rows.at(requests), f", after {requests} requests")


def _points(rows: Rows, across: str, up: str) -> Points:
    found = {method: (rows.values(method, across), rows.values(method, up)) for method in rows.compared}
    return {method: (x, y) for method, (x, y) in found.items() if x and y}


def _means(points: Points) -> dict[str, tuple[float, float]]:
    return {method: (fmean(x), fmean(y)) for method, (x, y) in points.items()}


def _scatter(figure: Figure, points: Points) -> Axes:
    figure.set_size_inches(8.4, 4.8)
    axes = figure.add_subplot()
    for method, (x, y) in points.items():
        order = 4 if method == REFIT else 3
        axes.errorbar(
            fmean(x),
            fmean(y),
            xerr=stdev(x) if len(x) > 1 else None,
            yerr=stdev(y) if len(y) > 1 else None,
            fmt="none",
            ecolor=look(method).colour,
            elinewidth=0.8,
            capsize=2,
            zorder=order,
        )
        axes.plot(
            fmean(x),
            fmean(y),
            linestyle="none",
            label=f"{method} (floor)" if method == REFIT else method,
            zorder=order,
            **look(method).points,
        )
    if REFIT in points:
        x, y = points[REFIT]
        for line in (axes.axvline(fmean(x)), axes.axhline(fmean(y))):
            line.set(color="#000000", linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    for place, (scale, axis) in enumerate(((axes.set_xscale, axes.xaxis), (axes.set_yscale, axes.yaxis))):
        if spans_orders([mean[place] for mean in _means(points).values()]):
            scale("log", nonpositive="clip")
            axis.set_major_formatter("{x:g}")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="hollow: controls")
    return axes
