"""Geometry of the small charts. Templates draw it as SVG with classes; nothing here knows colours.

All charts are drawn in a box whose width and height the caller knows. y grows downwards, as in SVG.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bullet:
    """A value against its band, on a scale from 0 to `width`. ``value`` is None if nothing was measured.

    A band that is open on a side reaches the end of the scale there.
    """

    band_from: float
    band_to: float
    value: float | None
    zero: float | None


def bullet(value: float | None, low: float | None, high: float | None, *, width: float = 100.0) -> Bullet:
    """Place a value and its bounds on one scale, with some room on both sides.

    Args:
        value: what was measured.
        low: the lower bound; None if there is none.
        high: the upper bound; None if there is none.
        width: length of the scale.
    """
    marks = [mark for mark in (value, low, high) if mark is not None and math.isfinite(mark)]
    if not marks:
        return Bullet(0.0, width, None, None)
    # An open side and a lone value need something to be compared with.
    least, most = min(*marks, 0.0), max(*marks, 0.0)
    room = 0.12 * (most - least) or 0.5
    least, most = least - room, most + room

    def place(mark: float) -> float:
        return round(min(max((mark - least) / (most - least), 0.0), 1.0) * width, 2)

    return Bullet(
        band_from=0.0 if low is None else place(low),
        band_to=width if high is None else place(high),
        value=None if value is None or math.isnan(value) else place(value),
        zero=place(0.0),
    )


@dataclass(frozen=True)
class Point:
    """A point of a curve, with the figures that it stands for."""

    x: float
    y: float
    value: float
    figure: float


@dataclass(frozen=True)
class Curve:
    """Points in the order of their values, the line through them, and where the target lies."""

    points: list[Point]
    line: str
    target: float
    span: tuple[float, float]
    range: tuple[float, float]


def curve(
    trials: Sequence[tuple[float, float | None]], *, target: float, width: float = 320.0, height: float = 90.0
) -> Curve | None:
    """The figures that a search found for the values it tried. None if it found none.

    Values that are all positive and far apart are drawn on a logarithmic scale.

    Args:
        trials: value and figure; a figure of None is left out.
        target: the figure that the search looks for.
        width: of the box.
        height: of the box.
    """
    found = sorted((value, figure) for value, figure in trials if figure is not None)
    if not found:
        return None
    values = [value for value, _ in found]
    logarithmic = values[0] > 0 and values[-1] / values[0] > 20

    def along(value: float) -> float:
        return math.log(value) if logarithmic else value

    left, right = along(values[0]), along(values[-1])
    low = min(target, *(figure for _, figure in found))
    high = max(target, *(figure for _, figure in found))
    room = 0.08 * (high - low) or 1.0

    def x(value: float) -> float:
        return round(width * (0.5 if right == left else (along(value) - left) / (right - left)), 2)

    def y(figure: float) -> float:
        return round(height * (high + room - figure) / (high - low + 2 * room), 2)

    points = [Point(x(value), y(figure), value, figure) for value, figure in found]
    line = " ".join(f"{point.x},{point.y}" for point in points)
    return Curve(points, line, y(target), (values[0], values[-1]), (low, high))


@dataclass(frozen=True)
class Bar:
    """One bar of a chart, with its label and its figure."""

    x: float
    y: float
    width: float
    height: float
    label: str
    figure: float


def bars(
    figures: Sequence[tuple[str, float]], *, most: float, width: float = 640.0, height: float = 120.0
) -> list[Bar]:
    """Bars from the bottom of the box.

    Args:
        figures: label and figure of each bar.
        most: the figure that reaches the top; bars that are compared share it.
        width: of the box.
        height: of the box.
    """
    if not figures:
        return []
    step = width / len(figures)
    gap = min(4.0, step * 0.25)
    found = []
    for place, (label, figure) in enumerate(figures):
        tall = round(height * figure / most, 2) if most > 0 else 0.0
        found.append(
            Bar(
                x=round(place * step + gap / 2, 2),
                y=round(height - tall, 2),
                width=round(step - gap, 2),
                height=tall,
                label=label,
                figure=figure,
            )
        )
    return found


@dataclass(frozen=True)
class Line:
    """A line through figures, in pieces where a figure is missing, and the figures' range."""

    pieces: list[str]
    range: tuple[float, float]


def line(
    points: Sequence[tuple[float, float | None]],
    *,
    across: tuple[float, float],
    range_: tuple[float, float] | None = None,
    logarithmic: bool = False,
    width: float = 640.0,
    height: float = 120.0,
) -> Line | None:
    """A line through the points in their order. None if no point has a figure.

    Args:
        points: place and figure; a figure of None interrupts the line.
        across: the places at the left and at the right end.
        range_: the figures at the bottom and at the top; those of the points otherwise.
        logarithmic: whether equal ratios of figures are equally far apart. All figures must be positive then.
        width: of the box.
        height: of the box.
    """
    figures = [figure for _, figure in points if figure is not None]
    if not figures:
        return None
    low, high = range_ or (min(figures), max(figures))

    def up(figure: float) -> float:
        least, most, at = (math.log(one) if logarithmic else one for one in (low, high, figure))
        return height / 2 if most == least else height * (1 - (at - least) / (most - least))

    pieces: list[list[str]] = [[]]
    for at, figure in points:
        if figure is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{place(at, across, width=width)},{round(up(figure), 2)}")
    # A lone point is drawn as a short dash.
    drawn = [piece if len(piece) > 1 else [piece[0], _beside(piece[0])] for piece in pieces if piece]
    return Line([" ".join(piece) for piece in drawn], (low, high))


def place(at: float, across: tuple[float, float], *, width: float = 640.0) -> float:
    """How far from the left something lies."""
    left, right = across
    return round(width * (0.5 if right == left else (at - left) / (right - left)), 2)


def _beside(point: str) -> str:
    x, _, y = point.partition(",")
    return f"{float(x) + 3:.2f},{y}"
