"""Whom the first fit tells what it finds and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from recommender import StepReport


class Listener(Protocol):
    def say(self, text: str) -> None:
        """A line for the operator."""

    def steps(self, what: str) -> AbstractContextManager[Callable[[StepReport], None]]:
        """Follow a training while the block lasts."""

    def parts(self, what: str) -> AbstractContextManager[Callable[[str], None]]:
        """Follow what is no training; a text that ends in `DONE/ALL` says how far it is."""
