"""A model whose logits are its two parameters, at every position: small enough to differentiate by hand."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from recommender.choices import IGNORED, Batch
from unlearning.methods.shared.descent import ChoiceModel


class FreeLogits:
    def __init__(self, first: float, second: float) -> None:
        self.parameters = {"logits": nn.Parameter(torch.tensor([first, second]))}
        self.forwards = self.backwards = 0

    def logits(self, batch: Batch) -> Tensor:
        self.forwards += batch.rows
        self.backwards += batch.rows
        return self.parameters["logits"].expand(*batch.tokens.shape, 2)


def free_logits(first: float, second: float) -> ChoiceModel:
    return cast(ChoiceModel, FreeLogits(first, second))


def asking_for(*items: int) -> Batch:
    """One window of three positions that asks for these items, and for nothing after them."""
    targets = torch.tensor([[*items, *[IGNORED] * (3 - len(items))]])
    return Batch(torch.zeros_like(targets), targets, slice(0, 2))
