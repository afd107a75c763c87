"""Compares rules by which a fit of an adapter chooses its epoch: `lethe bench early-stop`.

If a noisy measure chooses the epoch, then the seed decides how well the fit serves and how much it remembers, and the
gate may refuse a re-fit because of its draw. Every fit here runs to its last epoch, and each rule then says which epoch
it would have kept. The kept epochs are compared by what no rule sees: each user's last item, and the loss on users' own
training items.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.bars import bars
from benchmarks.environment import environment
from benchmarks.fits import untrained_base
from benchmarks.population import load_population, synthetic_population
from recommender import AdapterConfig, Base, BaseConfig, Scorer, Split, TrainingConfig
from recommender.adapters import trainable
from recommender.ranking import ndcg_at, ranks, recall_at
from recommender.training import train
from unlearning import default_policy
from unlearning.evaluation.gains import smoothed

# The measures that a rule maximises. The last rule uses no measure.
RULES = ("recall@10", "ndcg@10", "loss", "smoothed loss", "last epoch")


def run(
    data: Path | None = None,
    *,
    users: str = "report",
    seeds: int = 4,
    training: TrainingConfig | None = None,
    base_config: BaseConfig | None = None,
    folder: Path,
) -> dict[str, Any]:
    """Fit `seeds` adapters as `lethe init` does, on a base drawn at random, and compare the rules; JSON values.

    Args:
        users: whom the adapter is fitted on: report users, or development users for choosing a rule.
        folder: the folder for the base.
    """
    population = load_population(data) if data is not None else synthetic_population()
    places = population.report_users if users == "report" else population.development_users
    splits = [population.service[place] for place in places]
    training, base_config = training or TrainingConfig(), base_config or BaseConfig()
    header = environment()
    with bars() as bar:
        base = untrained_base(population.catalogue, base_config, folder / "base")
        fits = [
            _epochs(base, splits, training, seed, bar(f"fit {seed + 1} of {seeds}")) for seed in range(seeds)
        ]
    return {
        "benchmark": "early-stop",
        "environment": header,
        "data": {"source": population.source, "users": users, "count": len(splits)},
        "patience": training.patience,
        "rows": [_row(rule, fits, training.patience) for rule in RULES],
    }


def _epochs(
    base: Base, splits: Sequence[Split], training: TrainingConfig, seed: int, on_step: Any
) -> list[dict[str, float]]:
    """For each epoch of one fit, the figures on every user's last two items and on their training items."""
    seen: list[dict[str, float]] = []

    def look(tuned: nn.Module) -> float:
        scorer = Scorer(tuned, base.style)
        validation = _figures(
            scorer, [split.train for split in splits], [split.validation for split in splits]
        )
        test = _figures(
            scorer, [(*split.train, split.validation) for split in splits], [split.test for split in splits]
        )
        own = torch.cat(scorer.item_nll([split.train for split in splits]))
        seen.append(
            {
                **{f"validation {name}": value for name, value in validation.items()},
                **{f"test {name}": value for name, value in test.items()},
                "own loss": float(own.mean()),
            }
        )
        return 0.0

    # Seeded and fitted as in `fit_adapter`, which keeps one epoch only; this benchmark needs all of them.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = trainable(base, AdapterConfig().to_peft())
        config = TrainingConfig.from_plain({**training.to_plain(), "seed": seed, "patience": None})
        train(
            model,
            base.style,
            [split.train for split in splits],
            config,
            validate=look,
            on_step=on_step,
        )
    return seen


def _figures(scorer: Scorer, histories: Sequence[Sequence[int]], items: Sequence[int]) -> dict[str, float]:
    targets = torch.tensor(list(items))
    scores = scorer.scores(histories, mask_seen=False)
    nll: Tensor = -torch.log_softmax(scores.double(), dim=-1).gather(1, targets.unsqueeze(1)).squeeze(1)
    for row, history in enumerate(histories):
        scores[row, list(history)] = -torch.inf
    places = ranks(scores, targets)
    smoothing = default_policy().evaluation.smoothing
    return {
        "recall@10": float(recall_at(places, 10).mean()),
        "ndcg@10": float(ndcg_at(places, 10).mean()),
        "loss": -float(nll.mean()),
        "smoothed loss": -float(smoothed(nll, smoothing, scores.shape[1]).mean()),
    }


def kept(epochs: Sequence[dict[str, float]], rule: str, patience: int | None) -> int:
    """The index of the epoch that this rule keeps; the earliest one in a tie."""
    if rule == "last epoch":
        return len(epochs) - 1
    best = 0
    for place, epoch in enumerate(epochs):
        if epoch[f"validation {rule}"] > epochs[best][f"validation {rule}"]:
            best = place
        if patience is not None and place - best >= patience:
            break
    return best


def _row(rule: str, fits: Sequence[Sequence[dict[str, float]]], patience: int | None) -> dict[str, Any]:
    places = [kept(epochs, rule, patience) for epochs in fits]
    chosen = [epochs[place] for epochs, place in zip(fits, places, strict=True)]
    policy = default_policy()
    pairs = list(permutations(chosen, 2))
    worse = [
        parent["test smoothed loss"] - refit["test smoothed loss"] > policy.held_out_margin
        for parent, refit in pairs
    ]
    return {
        "rule": rule,
        "epochs": [place + 1 for place in places],
        "ndcg@10": [one["test ndcg@10"] for one in chosen],
        "held_out_loss": [-one["test smoothed loss"] for one in chosen],
        "own_loss": [one["own loss"] for one in chosen],
        "refits_beyond_the_margin": sum(worse) / len(worse) if worse else None,
    }
