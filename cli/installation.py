"""Makes the first version from the command line: `worker.first_fit`, with its progress on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from app.settings import get_settings
from cli.progress import Step, progress_bar, watch
from cli.quiet_log import log_warnings_only
from worker.first_fit import initialising
from worker.first_fit.initialising import Order


class _Terminal:
    """Prints lines on standard output and progress bars on standard error."""

    def say(self, text: str) -> None:
        print(text)

    def steps(self, what: str) -> AbstractContextManager[Callable[[Step], None]]:
        return progress_bar(what)

    def parts(self, what: str) -> AbstractContextManager[Callable[[str], None]]:
        return watch(what)


def initialise(order: Order) -> None:
    """Make the first version live. Does nothing if a version is live.

    Raises:
        FirstFitError, RecommenderError, StoreError, DatabaseError: the message is one line that says what to do.
    """
    log_warnings_only()
    initialising.initialise(order, get_settings(), _Terminal())


def example_user(data: Path | None, seed: int) -> str:
    return initialising.example_user(data, seed)
