"""A control that knows no single user: it ranks items by how many retained users have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recommender import RankingMetrics, popularity, ranks
from recommender.styles.letters import LettersStyle
from unlearning import EvaluationInputs
from unlearning.evaluation.inputs import whole_history


def popularity_row(inputs: EvaluationInputs, empty: dict[str, Any]) -> dict[str, Any]:
    """Ranking figures of popularity, on the same questions as the models get. `empty` holds all other figures."""
    histories_of = {str(place): split.train for place, split in enumerate(inputs.retained)}
    counts = popularity(histories_of, len(inputs.base.catalogue))
    style = inputs.base.style
    tail, first = inputs.config.tail_items, style.first_target
    rank = _Candidates(counts, style) if isinstance(style, LettersStyle) else _Catalogue(counts)
    forget = [
        rank(subject, [place for place in places if place >= first])
        for subject, places in zip(inputs.subjects, _forgotten(inputs), strict=True)
    ]
    histories = [whole_history(split) for split in inputs.retained]
    member = [
        rank(history, range(max(len(history) - 2 - tail, first), len(history) - 2)) for history in histories
    ]
    validation, test = (
        torch.cat([rank(history, [len(history) - back]) for history in histories]) for back in (2, 1)
    )
    at_first = {
        "forget_recall@1": torch.cat(forget),
        "retained_member_recall@1": torch.cat(member),
        "held_out_recall@1": torch.cat([validation, test]),
    }
    return {
        **empty,
        "forget_recall@10": RankingMetrics(torch.cat(forget)).means()["recall@10"],
        "retained_member_recall@10": RankingMetrics(torch.cat(member)).means()["recall@10"],
        "test_recall@10": RankingMetrics(test).means()["recall@10"],
        "test_ndcg@10": RankingMetrics(test).means()["ndcg@10"],
        **(
            {name: float((found == 1).double().mean()) for name, found in at_first.items()}
            if style.ranked_by == "options"
            else {}
        ),
        "seconds": 0.0,
    }


def _forgotten(inputs: EvaluationInputs) -> list[list[int]]:
    """The positions about which the models are asked: the marked ones, or the last ones of each subject."""
    if inputs.counted is not None:
        return [[place for place, mark in enumerate(marks) if mark] for marks in inputs.counted]
    tail = inputs.config.tail_items
    return [list(range(max(len(subject) - tail, 0), len(subject))) for subject in inputs.subjects]


@dataclass(frozen=True)
class _Catalogue:
    """Ranks among all items that the user has not met."""

    counts: Tensor

    def __call__(self, history: Sequence[int], places: Sequence[int]) -> Tensor:
        scores = self.counts.float().repeat(len(places), 1)
        for row, place in enumerate(places):
            scores[row, list(history[:place])] = -torch.inf
        return ranks(scores, torch.tensor([history[place] for place in places], dtype=torch.int64))


@dataclass(frozen=True)
class _Candidates:
    """Ranks among the candidates of the first draw that measures."""

    counts: Tensor
    style: LettersStyle

    def __call__(self, history: Sequence[int], places: Sequence[int]) -> Tensor:
        found = []
        for place in places:
            offered = self.style.offered(history[:place], history[place], -1)
            own = torch.tensor([offered.index(history[place])])
            found.append(ranks(self.counts[offered].float().unsqueeze(0), own))
        return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64)
