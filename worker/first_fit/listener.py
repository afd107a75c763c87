"""The interface through which the first fit reports messages and progress."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from recommender import StepReport


class Listener(Protocol):
    def say(self, text: str) -> None:
        """Show one line to the operator."""

    def steps(self, what: str) -> AbstractContextManager[Callable[[StepReport], None]]:
        """Show the progress of a training while the block lasts."""

    def parts(self, what: str) -> AbstractContextManager[Callable[[str], None]]:
        """Show the progress of other work while the block lasts. A text that ends in `DONE/ALL` says how far it is."""
