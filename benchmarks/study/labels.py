"""What a study measures where events have labels: E2URec's figures, and a control that knows items only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unlearning import EvaluationInputs
from unlearning.evaluation import pointwise
from unlearning.evaluation.inputs import whole_history
from unlearning.evaluation.metrics import HELD_OUT, Measured
from unlearning.evaluation.reading import Reading

_CHANCE = 0.5
# A probability nearer to 0 or 1 than this has no logit that a sum could bear.
_LEAST = 1e-12


def label_figures(measured: Measured, references: Sequence[Sequence[Tensor]]) -> dict[str, Any]:
    """AUC, accuracy and log-loss of what is forgotten and of held-out events, and distances to the re-fits.

    `references` are the log-probabilities of the subjects' labels under each re-fit. As for `jsd`, the re-fits' mean
    distribution is what is compared with. Both distances are over the two labels, means over the forgotten events:
    `l2` is |p - q|, and `symmetric_kl` half of KL(p || q) + KL(q || p) in nats, which is what E2URec's released code
    calls a JSD.
    """
    own = torch.cat([reading.nll for reading in measured.subjects]).double().neg().exp()
    other = torch.stack([torch.cat(list(one)).double().exp() for one in references]).mean(0)
    own, other = (one.clamp(_LEAST, 1.0 - _LEAST) for one in (own, other))
    return {
        **_told("forget", measured.subjects),
        **_told("held_out", pointwise.latest(measured.retained, -HELD_OUT)),
        "l2": float(((own - other).abs() * math.sqrt(2.0)).mean()),
        "symmetric_kl": float(((own - other) * (own.logit() - other.logit())).mean()) / 2.0,
    }


def likes_row(inputs: EvaluationInputs) -> dict[str, Any]:
    """The figures of a control without a model: an item is as liked as by the retained users' training events.

    Each item has one event more, at the rate of all events, so that an unknown item has a probability.
    """
    style = inputs.base.style
    liked: Counter[int] = Counter()
    total: Counter[int] = Counter()
    for split in inputs.retained:
        for event in split.train:
            total[style.item_of(event)] += 1
            liked[style.item_of(event)] += bool(style.liked(event))
    rate = liked.total() / max(total.total(), 1)

    def read(sequence: Sequence[int]) -> Reading:
        events = sequence[style.first_target :]
        chances = torch.tensor(
            [(liked[style.item_of(event)] + rate) / (total[style.item_of(event)] + 1) for event in events],
            dtype=torch.float64,
        ).clamp(_LEAST, 1.0 - _LEAST)
        labels = torch.tensor([bool(style.liked(event)) for event in events], dtype=torch.bool)
        return Reading(-torch.where(labels, chances, 1.0 - chances).log(), torch.empty(0), labels)

    subjects = [read(subject) for subject in inputs.subjects]
    retained = [read(whole_history(split)) for split in inputs.retained]
    members = pointwise.auc("", pointwise.latest(retained, 0, -HELD_OUT), "reference")
    return {
        **_told("forget", subjects),
        **_told("held_out", pointwise.latest(retained, -HELD_OUT)),
        "retained_member_auc": members.value,
        "seconds": 0.0,
    }


def _told(name: str, readings: Sequence[Reading]) -> dict[str, float | None]:
    area = pointwise.auc("", readings, "reference").value
    nll = torch.cat([reading.nll for reading in readings]).double()
    return {
        f"{name}_auc": area,
        f"{name}_auc_above_chance": None if area is None else area - _CHANCE,
        f"{name}_accuracy": float((nll < math.log(2.0)).double().mean()),
        f"{name}_log_loss": float(nll.mean()),
    }
