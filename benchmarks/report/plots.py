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

# A plot fills an empty figure; it returns False if the scenario has no data for it.
Plot = Callable[["Figure", Rows, str], bool]
_PLOTS: Mapping[str, Plot] = {
    "forgetting-utility": forgetting_utility,
    "time-quality": time_quality,
    "threshold-sweep": threshold_sweep,
    "relearning": relearning,
    "requests": requests,
}


def draw(result: Mapping[str, Any], folder: Path) -> None:
    """Draw the plots of one result into `folder`, which is created. Only results of `lethe bench unlearn` have plots.

    Raises:
        MissingMatplotlib: matplotlib is not installed.
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
