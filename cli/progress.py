"""Progress with the time left, for work that reports its steps: a bar on a terminal, occasional lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# A line is due after ten seconds and a tenth of the steps, whichever is later, and at the latest after a minute.
_SECONDS, _SHARE, _AT_LEAST_SECONDS = 10.0, 0.1, 60.0


class Step(Protocol):
    """The report of a training after each step, counted from 1."""

    @property
    def step(self) -> int: ...

    @property
    def steps(self) -> int: ...

    @property
    def loss(self) -> float | None: ...


@contextmanager
def progress_bar(
    what: str, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Step], None]]:
    """Show a bar on standard error. If that is no terminal, or others write to it, print lines, and one at the end."""
    console = console or Console(stderr=True)
    if not console.is_interactive:
        lines = _Lines(what, console, clock)
        yield lines.on_step
        lines.end()
        return
    columns = (
        TextColumn(f"{what:>12}"),
        BarColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(what, total=None, loss="")

        def on_step(step: Step) -> None:
            bar.update(task, completed=step.step, total=step.steps, loss=_loss(step))

        yield on_step


@contextmanager
def watch(what: str, *, console: Console | None = None) -> Iterator[Callable[[str], None]]:
    """Show on the terminal what another process does. Shows nothing if there is no terminal.

    The text may end in `DONE/ALL`, as a run's progress does. Then a bar and the time left are shown for that part.
    """
    console = console or Console(stderr=True)
    if not console.is_interactive:
        yield lambda _text: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn(f"{what}:"),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        _WhereKnown(BarColumn(bar_width=20)),
        _WhereKnown(TextColumn("left")),
        _WhereKnown(TimeRemainingColumn()),
    )
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task("", total=None)
        shown = ""

        def show(text: str) -> None:
            nonlocal task, shown
            part, done, whole = _share(text)
            if part != shown:
                # A new task, so that the time left is computed from the speed of this part alone.
                bar.remove_task(task)
                task, shown = bar.add_task(part, total=whole), part
            bar.update(task, completed=done)

        yield show


class _WhereKnown(ProgressColumn):
    """A column that is shown only for a part whose total is known."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> RenderableType:
        return "" if task.total is None else self._column(task)


def _share(text: str) -> tuple[str, int, int | None]:
    part, _, share = text.rpartition(" ")
    done, separator, whole = share.partition("/")
    if separator and done.isdecimal() and whole.isdecimal() and int(whole):
        return part, int(done), int(whole)
    return text, 0, None


class _Lines:
    def __init__(self, what: str, console: Console, clock: Callable[[], float]) -> None:
        self._what, self._console, self._clock = what, console, clock
        self._started = self._said_at = clock()
        self._said_step = 0
        self._last: Step | None = None

    def on_step(self, step: Step) -> None:
        if self._last is None or step.step < self._last.step:
            # A training of several parts counts each part's steps from 1.
            self._said_step = 0
        self._last = step
        now = self._clock()
        waited, moved = now - self._said_at, step.step - self._said_step
        due = waited >= _SECONDS and moved >= _SHARE * step.steps
        if due or waited >= _AT_LEAST_SECONDS:
            left = (now - self._started) / max(step.step, 1) * (step.steps - step.step)
            parts = (f"step {step.step} of {step.steps}", f"about {_duration(left)} left", _loss(step))
            self._say(", ".join(part for part in parts if part))
            self._said_at, self._said_step = now, step.step

    def end(self) -> None:
        if self._last is not None:
            self._say(f"{self._last.step} steps, {_loss(self._last)}")

    def _say(self, text: str) -> None:
        self._console.print(f"{self._what}: {text}", soft_wrap=True, highlight=False)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _loss(step: Step) -> str:
    return "" if step.loss is None else f"loss {step.loss:.3f}"
