"""The look of plots, and how to save them so that the same plot always gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report.measured import REFIT
from benchmarks.study.variants import CONTROLS
from unlearning import METHODS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The palette of Okabe and Ito (2008), which colour-blind readers can tell apart. Black is for the re-fit, grey for the
# controls.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "D", "v", "P", "<")
# Beyond this ratio of the largest to the smallest value, a linear axis would squeeze most methods into one spot.
_WIDE = 15.0
_CONTROL_MARKERS = ("X", "d", "h", "p")
_SETTINGS: Any = {
    "font.size": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    # Keep text as text, for smaller files that a reader can search. The fixed salt makes the ids of shapes repeatable.
    "svg.fonttype": "none",
    "svg.hashsalt": "lethe",
}


NO_MATPLOTLIB = "plots need matplotlib, which is not installed: pip install 'lethe[plots]'"


class MissingMatplotlib(RuntimeError):
    """matplotlib is not installed but plots were requested; the message says how to get it."""


@dataclass(frozen=True)
class Look:
    """A method's colour and marker, the same in every plot."""

    colour: str
    marker: str
    control: bool = False

    @property
    def points(self) -> dict[str, Any]:
        """Options for drawing markers. The marker of a control is hollow."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markerfacecolor": "white" if self.control else self.colour,
            "markersize": 11 if self.marker == "*" else 6.5,
        }


def look(method: str) -> Look:
    """The look of a method. It depends only on the method's position in the registry, not on the rest of the plot."""
    if method == REFIT:
        return Look("#000000", "*")
    if method in CONTROLS:
        return Look("#666666", _CONTROL_MARKERS[CONTROLS.index(method)], control=True)
    names = [name for name in METHODS if name != REFIT and name not in CONTROLS]
    if method not in names:
        return Look("#999933", "p")
    place = names.index(method)
    # Shift the markers after each round of colours, so that no pair of colour and marker repeats early.
    return Look(_PALETTE[place % len(_PALETTE)], _MARKERS[(place + place // len(_PALETTE)) % len(_MARKERS)])


def spans_orders(values: Sequence[float]) -> bool:
    """Whether these values need a logarithmic axis."""
    return 0.0 < min(values) * _WIDE < max(values)


@contextmanager
def drawing() -> Iterator[type[Figure]]:
    """Yield matplotlib's `Figure` class, with our settings while the block lasts.

    Figures are made without pyplot, so that no display is needed and no figure stays open.

    Raises:
        MissingMatplotlib: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError as problem:
        if problem.name is None or problem.name.partition(".")[0] != "matplotlib":
            raise
        raise MissingMatplotlib(NO_MATPLOTLIB) from None
    with mpl.rc_context():
        # The user's own settings file must not change the bytes.
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield Figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure as SVG, without the date and the version of matplotlib."""
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
