"""How plots look, and how they become files that are the same byte for byte whenever they are drawn."""

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

# Okabe and Ito (2008), told apart by colour-blind readers too; black is the re-fit's, grey the controls'.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "D", "v", "P", "<")
# Beyond this ratio of the largest to the smallest a linear axis shows one method and a heap of others.
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
    # Words stay words: smaller files, and a reader may search them. Names of shapes are drawn from a fixed salt.
    "svg.fonttype": "none",
    "svg.hashsalt": "lethe",
}


NO_MATPLOTLIB = "plots need matplotlib, which is not installed: pip install 'lethe[plots]'"


class MissingMatplotlib(RuntimeError):
    """Plots were asked for and matplotlib is not installed; the message says how to get it."""


@dataclass(frozen=True)
class Look:
    """A method's colour and marker, the same in every plot."""

    colour: str
    marker: str
    control: bool = False

    @property
    def points(self) -> dict[str, Any]:
        """For markers: a control is hollow."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markerfacecolor": "white" if self.control else self.colour,
            "markersize": 11 if self.marker == "*" else 6.5,
        }


def look(method: str) -> Look:
    """By the place in the registry, whatever else is in the plot."""
    if method == REFIT:
        return Look("#000000", "*")
    if method in CONTROLS:
        return Look("#666666", _CONTROL_MARKERS[CONTROLS.index(method)], control=True)
    names = [name for name in METHODS if name != REFIT and name not in CONTROLS]
    if method not in names:
        return Look("#999933", "p")
    place = names.index(method)
    # Colours and markers go round at different speeds, so that neither repeats together with the other.
    return Look(_PALETTE[place % len(_PALETTE)], _MARKERS[(place + place // len(_PALETTE)) % len(_MARKERS)])


def spans_orders(values: Sequence[float]) -> bool:
    """Whether an axis has to be logarithmic."""
    return 0.0 < min(values) * _WIDE < max(values)


@contextmanager
def drawing() -> Iterator[type[Figure]]:
    """The class of figures, under our settings.

    Figures are made without pyplot, so that no screen is looked for and nothing is left open.

    Raises:
        MissingMatplotlib: it is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError as problem:
        if problem.name is None or problem.name.partition(".")[0] != "matplotlib":
            raise
        raise MissingMatplotlib(NO_MATPLOTLIB) from None
    with mpl.rc_context():
        # What a reader's own settings file says must not change a byte.
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield Figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure as SVG without the date and the drawing library's version."""
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
