"""Progress bars on standard error, with the time left. Nothing is shown if standard error is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from transformers.utils import logging as transformers_logging


class Step(Protocol):
    """The progress that every computation here reports: `step` of `steps`, counted from 1."""

    @property
    def step(self) -> int: ...

    @property
    def steps(self) -> int: ...


@dataclass(frozen=True)
class Reached:
    """Progress as a plain count."""

    step: int
    steps: int


Bar = Callable[[str], Callable[[Step], None]]


@contextmanager
def bars() -> Iterator[Bar]:
    """Yield a function that opens a bar with a title and returns the function that moves it."""
    # Loading a base would otherwise draw its own bar into ours.
    transformers_logging.disable_progress_bar()
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def start(title: str) -> Callable[[Step], None]:
            task = progress.add_task(title, total=None)
            if not console.is_terminal:
                console.print(title)

            def move(step: Step) -> None:
                progress.update(task, completed=step.step, total=step.steps)

            return move

        yield start
