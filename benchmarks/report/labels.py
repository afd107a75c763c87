"""Names beside the points of a plot, if there is room for them. The legend has all names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.report.canvas import look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Font size, width of a letter, height of a line and radius of a marker, in typographic points.
_SIZE, _LETTER, _HEIGHT, _MARKER = 6.5, 3.9, 8.0, 4.5
# Possible positions of a name relative to its point, the preferred one first: (right, up, the end of the name that is
# placed there).
_PLACES = (
    (6.0, 3.0, "left"),
    (-6.0, 3.0, "right"),
    (6.0, -10.0, "left"),
    (-6.0, -10.0, "right"),
    (6.0, 11.0, "left"),
    (-6.0, 11.0, "right"),
    (6.0, -18.0, "left"),
    (-6.0, -18.0, "right"),
)


@dataclass(frozen=True)
class Box:
    """A rectangle on the page."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, others: Iterable[Box]) -> bool:
        """Whether the box overlaps any of these boxes."""
        return any(
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
            for other in others
        )

    def inside(self, outer: Box) -> bool:
        """Whether the box lies completely inside the other one."""
        return (
            outer.left <= self.left
            and outer.bottom <= self.bottom
            and self.right <= outer.right
            and self.top <= outer.top
        )


def name_points(figure: Figure, axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write each name where it covers no marker and no other name. A point without such a place gets no name."""
    # The position of a point on the page is known only after the layout of everything else.
    figure.draw_without_rendering()
    scale = 72.0 / figure.dpi
    page = {
        name: tuple(float(value) * scale for value in axes.transData.transform(point))
        for name, point in points.items()
    }
    frame = axes.get_window_extent()
    outer = Box(frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale)
    taken = [Box(x - _MARKER, y - _MARKER, x + _MARKER, y + _MARKER) for x, y in page.values()]
    for name, (x, y) in page.items():
        width = _LETTER * len(name)
        for across, up, end in _PLACES:
            left = x + across - (width if end == "right" else 0.0)
            box = Box(left, y + up, left + width, y + up + _HEIGHT)
            if box.meets(taken) or not box.inside(outer):
                continue
            taken.append(box)
            axes.annotate(
                name,
                points[name],
                xytext=(across, up),
                textcoords="offset points",
                horizontalalignment=end,
                verticalalignment="bottom",
                fontsize=_SIZE,
                color=look(name).colour,
            ).set_in_layout(False)
            break
