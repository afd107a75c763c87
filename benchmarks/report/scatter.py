"""One point per method: what it forgets against what it costs."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import TYPE_CHECKING

from benchmarks.report.canvas import look, spans_orders
from benchmarks.report.measured import REFIT, Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A control takes microseconds, which would leave the methods a corner of the axis.
_SHORTEST = 1e-3


def forgetting_utility(figure: Figure, rows: Rows, scenario: str) -> bool:
    """Distance of the subjects' NLL from re-fits against held-out Recall@10."""
    rows, when = _last(rows)
    axes = _scatter(figure, rows, "forget_nll_gap", "test_recall@10")
    if axes is None:
        return False
    axes.set_xlabel("forget NLL, mean absolute difference to re-fits per user (nats); less is better")
    axes.set_ylabel("held-out Recall@10; more is better")
    axes.set_title(f"{scenario}{when}: forgetting against utility")
    return True


def time_quality(figure: Figure, rows: Rows, scenario: str) -> bool:
    """Seconds of a run against the distance to re-fits."""
    rows, when = _last(rows)
    axes = _scatter(figure, rows, "seconds", "distance", shortest=_SHORTEST)
    if axes is None:
        return False
    axes.set_xscale("log")
    axes.set_xlabel(f"seconds (log; what takes less than {_SHORTEST:g} s stands at {_SHORTEST:g} s)")
    axes.set_ylabel("distance to re-fits (nats); less is better")
    axes.set_title(f"{scenario}{when}: time against quality")
    return True


def _last(rows: Rows) -> tuple[Rows, str]:
    requests = rows.checkpoints[-1]
    return (rows, "") if requests is None else (rows.at(requests), f", after {requests} requests")


def _scatter(figure: Figure, rows: Rows, across: str, up: str, shortest: float = 0.0) -> Axes | None:
    points = {}
    for method in rows.compared:
        x, y = rows.values(method, across), rows.values(method, up)
        if x and y:
            points[method] = ([max(value, shortest) for value in x], y)
    if not points:
        return None
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
    if spans_orders([fmean(x) for x, _ in points.values()]):
        axes.set_xscale("log", nonpositive="clip")
    if spans_orders([fmean(y) for _, y in points.values()]):
        axes.set_yscale("log", nonpositive="clip")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="hollow: controls")
    return axes
