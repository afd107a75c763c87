"""Scores of a model that is somewhere else and only answers questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from recommender.catalogue_scores import CatalogueScorer
from recommender.errors import ConfigError
from recommender.styles.item_tokens import ItemTokenStyle
from recommender.styles.letters import LettersStyle
from recommender.styles.questions import AsksQuestions, Question
from recommender.styles.style import PromptStyle
from recommender.styles.yes_no import YesNoStyle

# For each question the log-probabilities of its options, in their order.
Ask = Callable[[Sequence[Question]], Sequence[Sequence[float]]]


class AskedScorer(CatalogueScorer):
    """Ranks by what a model elsewhere answers.

    Args:
        style: how histories become tokens.
        ask: puts questions to the model.

    Raises:
        ConfigError: the style's ranking does not follow from one step's probabilities.
    """

    def __init__(self, style: PromptStyle, ask: Ask) -> None:
        self.style = style
        self._asking = asking(style)
        self._ask = ask

    def raw_scores(
        self, histories: Sequence[Sequence[int]], candidates: Sequence[Sequence[int]] | None
    ) -> Tensor:
        """What follows from the model's answers; the questions of all histories are put together."""
        scores = torch.full((len(histories), self.style.catalogue_size), -torch.inf)
        chosen = [None] * len(histories) if candidates is None else list(candidates)
        asked = [
            self._asking.questions(history, items) for history, items in zip(histories, chosen, strict=True)
        ]
        answers = iter(self._ask([question for questions in asked for question in questions]))
        for row, (questions, items) in enumerate(zip(asked, chosen, strict=True)):
            values = self._asking.answered_scores([next(answers) for _ in questions])
            places = slice(None) if items is None else list(items)
            scores[row, places] = torch.tensor(values)
        return scores


def asking(style: PromptStyle) -> AsksQuestions:
    """The style as one that asks questions.

    Raises:
        ConfigError: its ranking does not follow from one step's probabilities.
    """
    if isinstance(style, YesNoStyle) and style.read == "yes_logit":
        raise ConfigError(
            'yes_no with "read": "yes_logit" compares logits of several prompts, and a probability does not tell them; '
            'use "softmax"'
        )
    if not isinstance(style, ItemTokenStyle | LettersStyle | YesNoStyle):
        raise ConfigError(f"{style.name} take several steps, so one step's probabilities do not rank them")
    return style
