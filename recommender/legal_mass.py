"""Legal mass: how much probability a model puts on the answers that exist. A low one says that the prompt is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from recommender.batching import by_token_budget
from recommender.choices import Window, batch_of
from recommender.scoring import rows_at_most
from recommender.styles.style import METHODS_DRAW, PromptStyle

# A fine-tuned model answers in its form nearly always; one that is asked in another form hardly ever.
LEAST = 0.5
_MOST_WINDOWS = 200
_SHOWN = 10


@dataclass(frozen=True)
class LegalMass:
    """`mean` share of the whole vocabulary's probability on a choice's options, and the `likeliest` tokens instead.

    `likeliest` are token ids with their mean share, the likeliest first.
    """

    mean: float
    likeliest: tuple[tuple[int, float], ...]


@torch.inference_mode()
def legal_mass(
    model: nn.Module, style: PromptStyle, sequences: Sequence[Sequence[int]], *, token_budget: int = 8192
) -> LegalMass | None:
    """Read the first choice of up to 200 windows; None for a style that never asks the whole vocabulary."""
    windows = list(
        islice(
            (window for own in sequences for window in style.windows(own, draw=METHODS_DRAW)), _MOST_WINDOWS
        )
    )
    if not windows or not windows[0].language:
        return None
    total, shares = 0.0, Counter[int]()
    most = rows_at_most(model, windows)
    for batch in by_token_budget([len(window.tokens) for window in windows], token_budget, most):
        chosen = [windows[index] for index in batch]
        for window, probabilities in zip(chosen, _first_choices(model, chosen, style.pad_token), strict=True):
            total += float(probabilities[list(window.options[0].tokens)].sum())
            best = probabilities.topk(min(_SHOWN, len(probabilities)))
            shares.update(dict(zip(best.indices.tolist(), best.values.tolist(), strict=True)))
    count = len(windows)
    return LegalMass(
        total / count, tuple((token, share / count) for token, share in shares.most_common(_SHOWN))
    )


def _first_choices(model: nn.Module, windows: Sequence[Window], pad: int) -> torch.Tensor:
    """Probabilities of the whole vocabulary at each window's first choice, float32 [windows, vocabulary]."""
    device = next(model.parameters()).device
    tokens = batch_of(windows, pad).tokens.to(device)
    positions = torch.tensor([window.positions[0] for window in windows], device=device)
    kept, column = torch.unique(positions, return_inverse=True)
    logits: torch.Tensor = model(input_ids=tokens, use_cache=False, logits_to_keep=kept).logits
    return logits[torch.arange(len(windows), device=device), column].float().softmax(-1).cpu()
