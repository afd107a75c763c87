"""Progress bars with the time left, for whatever reports its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Step(Protocol):
    """What a training reports after each step, counted from 1."""

    @property
    def step(self) -> int: ...

    @property
    def steps(self) -> int: ...

    @property
    def loss(self) -> float | None: ...


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[Step], None]]:
    """A bar on standard error; silent where that is not a terminal, except for one line at the end."""
    console = Console(stderr=True)
    columns = (
        TextColumn(f"{what:>12}"),
        BarColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None, loss="")
        last: Step | None = None

        def on_step(step: Step) -> None:
            nonlocal last
            last = step
            bar.update(task, completed=step.step, total=step.steps, loss=_loss(step))

        yield on_step
    if last is not None and not console.is_terminal:
        console.print(f"{what}: {last.step} steps, {_loss(last)}")


def _loss(step: Step) -> str:
    return "" if step.loss is None else f"loss {step.loss:.3f}"
