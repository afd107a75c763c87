"""Visits every state that can be reached, breadth first, so that the first broken promise has the shortest trace."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.promises import UNFINISHED, broken, is_over
from tests.model.state import Size, State, alike, first
from tests.model.steps import RIGHT, Rules, steps


@dataclass(frozen=True)
class Found:
    """``promise`` is the one that was broken first, after the steps of ``trace``; None if all hold."""

    states: int
    promise: str | None = None
    trace: tuple[str, ...] = ()


def search(size: Size, rules: Rules = RIGHT) -> Found:
    """Visit all states, or all up to the first in which a promise is broken."""
    start = alike(first(size))
    came_from: dict[State, tuple[State, str] | None] = {start: None}
    before: dict[State, list[State]] = {}
    front = [start]
    while front:
        further = []
        for state in front:
            for name, after in steps(state, rules, size):
                after = alike(after)
                before.setdefault(after, []).append(state)
                if after in came_from:
                    continue
                came_from[after] = (state, name)
                further.append(after)
                for promise in broken(after):
                    return Found(len(came_from), promise, _trace(came_from, after))
        front = further
    stuck = _stuck(came_from, before)
    if stuck is not None:
        return Found(len(came_from), UNFINISHED, _trace(came_from, stuck))
    return Found(len(came_from))


def _stuck(
    came_from: dict[State, tuple[State, str] | None], before: dict[State, list[State]]
) -> State | None:
    """The first state from which no state can be reached in which every request is over."""
    good = {state for state in came_from if is_over(state)}
    left = list(good)
    while left:
        for earlier in before.get(left.pop(), ()):
            if earlier not in good:
                good.add(earlier)
                left.append(earlier)
    # Dictionaries keep the order in which the states were found.
    return next((state for state in came_from if state not in good), None)


def _trace(came_from: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    names = []
    while (last := came_from[state]) is not None:
        state, name = last
        names.append(name)
    return tuple(reversed(names))
