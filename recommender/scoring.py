"""Catalogue scores and per-event losses of a model, batched by tokens."""

import math
from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor, nn

from recommender.batching import by_token_budget
from recommender.catalogue_scores import CatalogueScorer
from recommender.choices import Window, batch_of, choice_logits
from recommender.errors import ConfigError, DataError
from recommender.ranking import ranks
from recommender.styles.style import PromptStyle

# Likelihoods need logits at every asked position. This bound keeps them small for a large catalogue.
_MAX_LOGITS = 2**25


def rows_at_most(model: nn.Module, windows: Sequence[Window]) -> int | None:
    """How many windows may share a forward pass, so that their logits stay small; None where the tokens bound them.

    Each row gets logits at the positions that any row of its batch asks, over the whole vocabulary.
    """
    if not windows or windows[0].everywhere:
        return None
    configured = getattr(getattr(model, "config", None), "vocab_size", 1)
    asked = max(len(window.positions) for window in windows)
    return max(1, math.isqrt(_MAX_LOGITS * 8 // (configured * asked)))


class Scorer(CatalogueScorer):
    """Computes scores and likelihoods of a model without changing it. The model must be in eval mode on one device.

    Args:
        model: a causal language model, with or without an adapter attached.
        style: how histories become tokens.
        token_budget: most tokens, padding included, in one forward pass, but at least one sequence.
    """

    def __init__(self, model: nn.Module, style: PromptStyle, *, token_budget: int = 8192) -> None:
        if token_budget < 1:
            raise ConfigError(f"token_budget must be at least 1, got {token_budget}")
        self.style = style
        self._model = model
        self._token_budget = token_budget

    def raw_scores(
        self, histories: Sequence[Sequence[int]], candidates: Sequence[Sequence[int]] | None
    ) -> Tensor:
        """What the style computes with the model, see `PromptStyle.scores`."""
        return self.style.scores(
            self._model, histories, candidates=candidates, token_budget=self._token_budget
        )

    def best(
        self,
        histories: Sequence[Sequence[int]],
        k: Sequence[int],
        candidates: Sequence[Sequence[int] | None] | None = None,
        left_out: Sequence[Collection[int]] | None = None,
    ) -> list[Sequence[tuple[int, float]]]:
        """As `CatalogueScorer.best`; a style that need not score all items for that does not."""
        unwanted: Sequence[Collection[int]] = [()] * len(histories) if left_out is None else left_out
        allowed = [None] * len(histories) if candidates is None else list(candidates)
        found: dict[int, Sequence[tuple[int, float]]] = {}
        for row, (history, most) in enumerate(zip(histories, k, strict=True)):
            if allowed[row] is None:
                seen = [*self._seen(history), *unwanted[row]]
                items = self.style.best(self._model, history, most, seen)
                if items is not None:
                    found[row] = items
        left = [row for row in range(len(histories)) if row not in found]
        if left:
            found |= zip(left, self._head(histories, k, allowed, unwanted, left), strict=True)
        return [found[row] for row in range(len(histories))]

    def item_nll(self, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
        """Per sequence, float32 `[predicted events]`: loss of each event given those before it, see `event_losses`.

        Events before the style's `first_target` have none. Sequences longer than the window are divided as in training
        (`PromptStyle.windows`), so each value is exactly the quantity that training minimised.
        """
        first = self.style.first_target
        nll = [torch.zeros(max(len(sequence) - first, 0)) for sequence in sequences]
        windows = [
            (row, window)
            for row, sequence in enumerate(sequences)
            for _, window in reading_windows(self.style, sequence)
        ]
        budget = min(self._token_budget, max(1, _MAX_LOGITS // self.style.event_options))
        most = rows_at_most(self._model, [window for _, window in windows])
        for batch in by_token_budget([len(window.tokens) for _, window in windows], budget, most):
            log_probs = log_probabilities(
                self._model, [windows[index][1] for index in batch], self.style.pad_token
            )
            for position, index in enumerate(batch):
                row, window = windows[index]
                add_losses(nll[row], window, log_probs[position], self.style)
        return nll

    def last_ranks(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """Rank of each sequence's last item given those before it, int64 `[len(sequences)]`; 1 is best.

        Among the unseen items of the catalogue, or among the candidates of the style's first fixed draw. Each sequence
        needs an event that the style predicts.

        Raises:
            DataError: the style ranks nothing: its events have labels.
        """
        if self.style.ranked_by == "labels":
            raise DataError(f"{self.style.name} has labels and no ranks")
        targets = torch.tensor([sequence[-1] for sequence in sequences])
        if self.style.ranked_by != "options":
            return ranks(self.scores([sequence[:-1] for sequence in sequences]), targets)
        windows = [list(self.style.windows(sequence, draw=-1))[-1] for sequence in sequences]
        found = torch.empty(len(windows), dtype=torch.int64)
        most = rows_at_most(self._model, windows)
        for batch in by_token_budget([len(window.tokens) for window in windows], self._token_budget, most):
            chosen = [windows[index] for index in batch]
            log_probs = log_probabilities(self._model, chosen, self.style.pad_token)
            found[batch] = ranks(log_probs[:, 0], torch.tensor([window.targets[0] for window in chosen]))
        return found


def reading_windows(style: PromptStyle, sequence: Sequence[int]) -> Iterator[tuple[int, Window]]:
    """The windows over which the losses of a sequence's events are measured, each with its fixed draw (-1, -2, …)."""
    for draw in range(-1, -1 - style.draws, -1):
        for window in style.windows(sequence, draw=draw):
            yield draw, window


@torch.inference_mode()
def log_probabilities(model: nn.Module, windows: Sequence[Window], pad: int) -> Tensor:
    """Log-probabilities of the options of every choice, float32 [windows, choices, widest set], on the CPU."""
    return torch.log_softmax(choice_logits(model, batch_of(windows, pad)), dim=-1).cpu()


def add_losses(nll: Tensor, window: Window, log_probs: Tensor, style: PromptStyle) -> None:
    """Add what a window says to the losses `nll` [predicted events] of its sequence, in place.

    The loss of an event is -log p(item | events before it) among the style's options: the sum over its choices, the
    mean over draws.
    """
    targets = torch.as_tensor(window.targets)
    chosen = log_probs[: len(targets)].gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    nll.index_add_(0, torch.as_tensor(window.events) - style.first_target, -chosen / style.draws)
