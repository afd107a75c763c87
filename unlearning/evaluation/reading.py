"""One forward pass over sequences that reads everything the evaluation needs.

A sequence is read in the same windows as in training. The last window ends at the last item, so that the latest items,
which ranking metrics use, have the longest context.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recommender import PromptStyle, ranks
from recommender.batching import by_token_budget, pad_right
from unlearning.errors import InvalidEvaluation
from unlearning.progress import OnStep, Progress, ShouldStop, check_stop


@dataclass(frozen=True)
class Reading:
    """One model's reading of one sequence of n items.

    `nll` float32 [n]: negative log-likelihood of each item given those before it, softmax over item tokens.
    `ranks` int64 [min(ranked, n)]: rank of each of the last items among the items not seen before it, 1 is best. A
    repeated item counts as missed, because the served list holds no item of the history. If only some items of a
    sequence count, both tensors hold these alone, and `ranks` holds all of them.
    """

    nll: Tensor
    ranks: Tensor


@dataclass(frozen=True)
class Divergence:
    """The divergence of a model from a reference over `positions` next-item distributions.

    `kl` is the mean KL(reference || model) in nats, `shifted` the share of positions whose top item changed.
    """

    kl: float
    shifted: float
    positions: int


@dataclass(frozen=True)
class _Window:
    row: int
    start: int
    tokens: list[int]
    items: Sequence[int]


def read(
    model: nn.Module,
    style: PromptStyle,
    sequences: Sequence[Sequence[int]],
    *,
    ranked: int,
    counted: Sequence[Sequence[bool]] | None = None,
    token_budget: int = 8192,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> tuple[Reading, ...]:
    """Read every sequence with one model; ranks are kept for the last `ranked` items of each.

    `counted` marks the items of each sequence to keep, None for all. With `counted`, all marked items are ranked.

    Raises:
        Interrupted: `should_stop` answered yes.
    """
    collector = _Readings(sequences, ranked, counted)
    for window, (log_probs,) in _forward([model], style, sequences, token_budget, on_step, should_stop):
        collector.add(window, log_probs)
    return collector.result()


def compare(
    reference: nn.Module,
    model: nn.Module,
    style: PromptStyle,
    sequences: Sequence[Sequence[int]],
    *,
    ranked: int,
    counted: Sequence[Sequence[bool]] | None = None,
    token_budget: int = 8192,
    should_stop: ShouldStop | None = None,
) -> tuple[tuple[Reading, ...], Divergence]:
    """Read every sequence with `model` and measure its divergence from `reference` at every counted position.

    Both models read the same batch before the next one, so that no catalogue-wide distribution is kept longer than its
    batch.

    Raises:
        InvalidEvaluation: there is no position to compare.
        Interrupted: `should_stop` answered yes.
    """
    collector = _Readings(sequences, ranked, counted)
    kl, shifted, positions = 0.0, 0, 0
    for window, (before, after) in _forward(
        [reference, model], style, sequences, token_budget, None, should_stop
    ):
        collector.add(window, after)
        marks = collector.marks(window)
        before, after = before[marks], after[marks]
        kl += float((before.exp() * (before - after)).sum(dtype=torch.float64))
        shifted += int((before.argmax(-1) != after.argmax(-1)).sum())
        positions += len(before)
    if not positions:
        raise InvalidEvaluation("no item to compare the models on")
    # Rounding can leave the KL of a model from itself slightly below 0.
    return collector.result(), Divergence(max(kl / positions, 0.0), shifted / positions, positions)


class _Readings:
    """Collects readings from the log-probabilities of single windows."""

    def __init__(
        self, sequences: Sequence[Sequence[int]], ranked: int, counted: Sequence[Sequence[bool]] | None
    ) -> None:
        self._sequences = sequences
        self._counted = None if counted is None else [torch.tensor(marks) for marks in counted]
        self._first_ranked = [
            max(len(sequence) - ranked, 0) if counted is None else 0 for sequence in sequences
        ]
        self._nll = [torch.empty(len(sequence)) for sequence in sequences]
        self._ranks = [
            torch.empty(len(sequence) - first, dtype=torch.int64)
            for sequence, first in zip(sequences, self._first_ranked, strict=True)
        ]

    def add(self, window: _Window, log_probs: Tensor) -> None:
        """Add one window's `log_probs` [items in window, catalogue]."""
        targets = torch.as_tensor(window.items)
        end = window.start + len(window.items)
        chosen = log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        self._nll[window.row][window.start : end] = -chosen
        origin = self._first_ranked[window.row]
        first = max(origin, window.start)
        if first < end:
            offset = first - window.start
            scores = self._masked(log_probs[offset:], self._sequences[window.row], first, end)
            self._ranks[window.row][first - origin : end - origin] = ranks(scores, targets[offset:])

    def marks(self, window: _Window) -> Tensor:
        """Which positions of a window count, bool [items in window]."""
        if self._counted is None:
            return torch.ones(len(window.items), dtype=torch.bool)
        return self._counted[window.row][window.start : window.start + len(window.items)]

    def result(self) -> tuple[Reading, ...]:
        readings = zip(self._nll, self._ranks, strict=True)
        if self._counted is None:
            return tuple(Reading(nll, ranked) for nll, ranked in readings)
        return tuple(
            Reading(nll[marks], ranked[marks])
            for (nll, ranked), marks in zip(readings, self._counted, strict=True)
        )

    @staticmethod
    def _masked(log_probs: Tensor, sequence: Sequence[int], first: int, end: int) -> Tensor:
        scores = log_probs.clone()
        scores[:, list(sequence[:first])] = -torch.inf
        for position in range(first + 1, end):
            scores[position - first :, sequence[position - 1]] = -torch.inf
        return scores


def _forward(
    models: Sequence[nn.Module],
    style: PromptStyle,
    sequences: Sequence[Sequence[int]],
    token_budget: int,
    on_step: OnStep | None,
    should_stop: ShouldStop | None,
) -> Iterator[tuple[_Window, list[Tensor]]]:
    """Yield each window with one [items, catalogue] tensor of log-probabilities per model."""
    windows = list(_windows(style, sequences))
    batches = by_token_budget([len(window.tokens) for window in windows], token_budget)
    for step, batch in enumerate(batches, start=1):
        check_stop(should_stop)
        tokens, _ = pad_right([windows[index].tokens for index in batch], style.pad_token)
        with torch.inference_mode():
            outputs = [_log_probs(model, style, tokens) for model in models]
        for position, index in enumerate(batch):
            count = len(windows[index].items)
            yield windows[index], [output[position, :count] for output in outputs]
        if on_step is not None:
            on_step(Progress("evaluation", step, len(batches)))


def _log_probs(model: nn.Module, style: PromptStyle, tokens: Tensor) -> Tensor:
    device = next(model.parameters()).device
    # Right padding needs no attention mask: under causal attention no real token sees what follows it.
    logits = model(input_ids=tokens.to(device), use_cache=False).logits
    return torch.log_softmax(logits[..., style.item_token_slice].float(), dim=-1).cpu()


def _windows(style: PromptStyle, sequences: Sequence[Sequence[int]]) -> Iterator[_Window]:
    for row, sequence in enumerate(sequences):
        start = 0
        for tokens, items in style.windows(sequence):
            yield _Window(row, start, tokens, items)
            start += len(items)
