"""A listener of the first fit that remembers what it was told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from recommender import StepReport


@dataclass
class Heard:
    said: list[str] = field(default_factory=list)
    trained: list[StepReport] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    def say(self, text: str) -> None:
        self.said.append(text)

    def steps(self, _what: str) -> AbstractContextManager[Callable[[StepReport], None]]:
        return nullcontext(self.trained.append)

    def parts(self, _what: str) -> AbstractContextManager[Callable[[str], None]]:
        return nullcontext(self.shown.append)
