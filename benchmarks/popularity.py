"""The control that knows nobody: rank by how many retained users have an item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recommender import RankingMetrics, popularity, ranks
from unlearning import EvaluationInputs
from unlearning.evaluation.inputs import whole_history


def popularity_row(inputs: EvaluationInputs, empty: dict[str, Any]) -> dict[str, Any]:
    """Ranking figures of popularity on the same questions the models are asked; `empty` names the other figures."""
    histories_of = {str(place): split.train for place, split in enumerate(inputs.retained)}
    counts = popularity(histories_of, len(inputs.base.catalogue))
    tail = inputs.config.tail_items
    forget = [
        _ranks(counts, subject, places)
        for subject, places in zip(inputs.subjects, _forgotten(inputs), strict=True)
    ]
    histories = [whole_history(split) for split in inputs.retained]
    member = [
        _ranks(counts, history, range(max(len(history) - 2 - tail, 0), len(history) - 2))
        for history in histories
    ]
    test = [_ranks(counts, history, [len(history) - 1]) for history in histories]
    return {
        **empty,
        "forget_recall@10": RankingMetrics(torch.cat(forget)).means()["recall@10"],
        "retained_member_recall@10": RankingMetrics(torch.cat(member)).means()["recall@10"],
        "test_recall@10": RankingMetrics(torch.cat(test)).means()["recall@10"],
        "test_ndcg@10": RankingMetrics(torch.cat(test)).means()["ndcg@10"],
        "seconds": 0.0,
    }


def _forgotten(inputs: EvaluationInputs) -> list[list[int]]:
    """The places that models are asked about: the marked ones, or the last of each subject."""
    if inputs.counted is not None:
        return [[place for place, mark in enumerate(marks) if mark] for marks in inputs.counted]
    tail = inputs.config.tail_items
    return [list(range(max(len(subject) - tail, 0), len(subject))) for subject in inputs.subjects]


def _ranks(counts: Tensor, history: Sequence[int], places: Sequence[int]) -> Tensor:
    scores = counts.float().repeat(len(places), 1)
    for row, place in enumerate(places):
        scores[row, list(history[:place])] = -torch.inf
    return ranks(scores, torch.tensor([history[place] for place in places]))
