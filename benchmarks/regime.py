"""Whether there is anything to forget on a prompt style: `lethe bench regime`.

A study of methods needs an adapter that serves better than its base and remembers the users on whom it was fitted.
This looks at these two alone, with one adapter and one re-fit without some users, at a fraction of a study's price: to
choose on development users how a style is trained, or to report on the others.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.bars import bars
from benchmarks.environment import environment
from benchmarks.fits import Fits, Regime
from recommender import Base, Scorer, Split, attach, recall_at
from unlearning.records import to_plain

_SHARE, _TAIL = 0.05, 5


def run(
    data: Path, *, regime: Regime, users: str = "report", seed: int = 0, folder: Path | None = None
) -> dict[str, Any]:
    """Fit an adapter and a re-fit without a twentieth of the service's users; returns JSON values.

    Args:
        users: who is forgotten and whose held-out events are asked for: report users, or development users for choosing
            how a style is trained.
        seed: of both fits and of who is forgotten.
        folder: where fits are kept; None keeps none.
    """
    header = environment()
    population = regime.population(data)
    places = population.report_users if users == "report" else population.development_users
    count = min(max(round(_SHARE * len(population.service)), 1), len(places))
    gone = set(random.Random(seed).sample(list(places), count))
    asked = [population.service[place] for place in places]
    subjects = [population.service[place] for place in sorted(gone)]
    everybody = tuple(split.train for split in population.service)
    kept = tuple(train for place, train in enumerate(everybody) if place not in gone)
    fits, found = Fits(folder, regime), []
    with bars() as bar:
        base = fits.base(population, bar("base"))
        found.append(_row("base", base, base.model, asked, subjects, None))
        for name, sequences in (("adapter", everybody), ("re-fit without them", kept)):
            fit = fits.adapter(base, sequences, seed, bar(name))
            model = attach(base, fit.adapter)
            found.append(_row(name, base, model, asked, subjects, fit.cost.seconds))
    terms, (bare, original, refit) = regime.terms, found
    held_out, own_tail = (name.rpartition("recall")[2] for name in (terms.held_out, terms.own_tail))
    return {
        "benchmark": "regime",
        "environment": header,
        "style": regime.style,
        "data": {
            "source": population.source,
            "items": len(population.catalogue),
            "panel_users": len(population.panel),
            "panel_events": sum(map(len, population.panel)),
            "service_users": len(population.service),
            "service_events": sum(map(len, everybody)),
            "users": users,
            "asked_users": len(asked),
            "forgotten_users": count,
            "options": base.style.event_options,
            "seed": seed,
        },
        "training": {
            "base": getattr(regime, "base_training", regime.adapter_training).to_plain(),
            "adapter": regime.adapter_training.to_plain(),
            "adapter_config": to_plain(regime.adapter_config.to_plain()),
        },
        "rows": found,
        "held_out_over_base": _over(original, bare, f"held_out{held_out}"),
        "held_out_wanted": terms.held_out_ratio,
        "own_tail_over_refit": _over(original, refit, f"own_tail{own_tail}"),
        "own_tail_wanted": terms.own_tail_ratio,
    }


def _row(
    name: str,
    base: Base,
    model: nn.Module,
    asked: Sequence[Split],
    subjects: Sequence[Split],
    seconds: float | None,
) -> dict[str, Any]:
    """Held-out figures over the last two events of each asked user, own tails over the forgotten users' last events."""
    scorer = Scorer(model, base.style)
    held_out = [
        sequence
        for split in asked
        for sequence in ([*split.train, split.validation], [*split.train, split.validation, split.test])
    ]
    first = max(getattr(base.style, "first_target", 0), 0)
    tails = [
        list(split.train[: place + 1])
        for split in subjects
        for place in range(max(first, len(split.train) - _TAIL), len(split.train))
    ]
    row: dict[str, Any] = {"model": name, "seconds": seconds}
    for figure, sequences in (("held_out", held_out), ("own_tail", tails)):
        ranks = scorer.last_ranks(sequences)
        row[f"{figure}_events"] = len(sequences)
        row[f"{figure}_nll"] = float(torch.stack([own[-1] for own in scorer.item_nll(sequences)]).mean())
        for cutoff in (1, 10):
            row[f"{figure}@{cutoff}"] = float(recall_at(ranks, cutoff).mean())
    return row


def _over(one: dict[str, Any], other: dict[str, Any], figure: str) -> float | None:
    below: float = other[figure]
    return one[figure] / below if below else None
