"""Questions: what a model elsewhere is asked, where only the probabilities of its next token can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Question(NamedTuple):
    """A prompt, and the tokens whose log-probabilities as its next token are asked for."""

    prompt: tuple[int, ...]
    options: tuple[int, ...]


class AsksQuestions(Protocol):
    """A style whose ranking follows from the next token's probabilities alone, in one step."""

    def questions(self, history: Sequence[int], candidates: Sequence[int] | None) -> list[Question]:
        """What to ask, so that the answers score the candidates, or all items. None for no candidates."""

    def answered_scores(self, answers: Sequence[Sequence[float]]) -> list[float]:
        """A score for each candidate, in their order.

        They differ from those of `PromptStyle.scores` by one number for all, which changes no ranking and no softmax.

        Args:
            answers: for each question the log-probabilities of its options, in their order.
        """
