"""The plots of a study, as SVG: `<scenario>-<plot>.svg`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report.canvas import drawing, save
from benchmarks.report.curves import relearning, requests, threshold_sweep
from benchmarks.report.measured import Rows, scenarios
from benchmarks.report.scatter import forgetting_utility, time_quality

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Each fills an empty figure, or says False where the scenario has nothing of the kind.
Plot = Callable[["Figure", Rows, str], bool]
_PLOTS: Mapping[str, Plot] = {
    "forgetting-utility": forgetting_utility,
    "time-quality": time_quality,
    "threshold-sweep": threshold_sweep,
    "relearning": relearning,
    "requests": requests,
}


def draw(result: Mapping[str, Any], folder: Path) -> None:
    """Draw the plots of one result into `folder`, which is made; only `lethe bench unlearn` has any.

    Raises:
        MissingMatplotlib: it is not installed.
    """
    if result["benchmark"] != "unlearn":
        return
    with drawing() as figures:
        folder.mkdir(parents=True, exist_ok=True)
        for scenario, rows in scenarios(result).items():
            for name, plot in _PLOTS.items():
                figure = figures(layout="constrained")
                if plot(figure, rows, scenario):
                    save(figure, folder / f"{scenario}-{name}.svg")
