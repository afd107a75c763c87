"""Makes the first version from the command line: `worker.first_fit`, with its progress on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from app.settings import get_settings
from cli.children import INITIALISED
from cli.progress import Step, progress_bar, watch
from cli.quiet_log import log_warnings_only
from recommender import InteractionData
from worker.first_fit import initialising
from worker.first_fit.importing import read
from worker.first_fit.initialising import Order


class Terminal:
    """Prints lines on standard output and progress bars on standard error."""

    def say(self, text: str) -> None:
        print(text)

    def steps(self, what: str) -> AbstractContextManager[Callable[[Step], None]]:
        return progress_bar(what)

    def parts(self, what: str) -> AbstractContextManager[Callable[[str], None]]:
        return watch(what)


def initialise(order: Order) -> InteractionData | None:
    """Make the first version live. Does nothing if a version is live. Returns the interactions if it has read them.

    Raises:
        FirstFitError, RecommenderError, StoreError, DatabaseError: the message is one line that says what to do.
    """
    log_warnings_only()
    return initialising.initialise(order, get_settings(), Terminal())


def name_example_user(order: Order, loaded: InteractionData | None) -> None:
    """Print `INITIALISED`, and then the id of one user of the service, for the examples that `lethe up` prints."""
    print(INITIALISED)
    print(initialising.example_user(loaded or read(order.data, order.seed)))
