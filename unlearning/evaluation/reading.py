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
from recommender.batching import by_token_budget
from recommender.choices import Window
from recommender.scoring import add_losses, log_probabilities, reading_windows, rows_at_most
from unlearning.errors import InvalidEvaluation
from unlearning.progress import OnStep, Progress, ShouldStop, check_stop

# Prompts whose catalogue scores are held at once.
_RANKED_AT_ONCE = 256


@dataclass(frozen=True)
class Reading:
    """One model's reading of one sequence, of which the style predicts n items (all but its `first_target` first).

    `nll` float32 [n]: negative log-likelihood of each item given those before it, among the style's options.
    `ranks` int64 [min(ranked, n)]: rank of each of the last items among the items not seen before it, 1 is best. A
    repeated item counts as missed, because the served list holds no item of the history. If only some items of a
    sequence count, all tensors hold these alone, and `ranks` holds all of them.

    Where events have labels, `liked` bool [n] holds them, and there are no ranks.
    """

    nll: Tensor
    ranks: Tensor
    liked: Tensor | None = None


@dataclass(frozen=True)
class Divergence:
    """The divergence of a model from a reference over `positions` choices, one for each item with item tokens.

    `kl` is the mean KL(reference || model) in nats, `shifted` the share of choices whose top option changed.
    """

    kl: float
    shifted: float
    positions: int


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
    collector = _Readings(style, sequences, ranked, counted)
    for row, draw, window, (log_probs,) in _forward(
        [model], style, sequences, token_budget, on_step, should_stop
    ):
        collector.add(row, draw, window, log_probs)
    if style.ranked_by == "catalogue":
        collector.rank(model, token_budget, should_stop)
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
    """Read every sequence with `model` and measure its divergence from `reference` at every counted choice.

    Both models read the same batch before the next one, so that no catalogue-wide distribution is kept longer than its
    batch.

    Raises:
        InvalidEvaluation: there is no position to compare.
        Interrupted: `should_stop` answered yes.
    """
    collector = _Readings(style, sequences, ranked, counted)
    kl, shifted, positions = 0.0, 0, 0
    for row, draw, window, (before, after) in _forward(
        [reference, model], style, sequences, token_budget, None, should_stop
    ):
        collector.add(row, draw, window, after)
        marks = collector.marks(row, window)
        before, after = before[marks], after[marks]
        kl += float((before.exp() * (before - after)).sum(dtype=torch.float64))
        shifted += int((before.argmax(-1) != after.argmax(-1)).sum())
        positions += len(before)
    if not positions:
        raise InvalidEvaluation("no item to compare the models on")
    if style.ranked_by == "catalogue":
        collector.rank(model, token_budget, should_stop)
    # Rounding can leave the KL of a model from itself slightly below 0.
    return collector.result(), Divergence(max(kl / positions, 0.0), shifted / positions, positions)


class _Readings:
    """Collects readings from the log-probabilities of single windows."""

    def __init__(
        self,
        style: PromptStyle,
        sequences: Sequence[Sequence[int]],
        ranked: int,
        counted: Sequence[Sequence[bool]] | None,
    ) -> None:
        self._style = style
        self._sequences = sequences
        self._counted = None if counted is None else [torch.tensor(marks) for marks in counted]
        first = style.first_target
        self._labelled = style.ranked_by == "labels"
        if self._labelled:
            self._first_ranked = [len(sequence) for sequence in sequences]
        else:
            self._first_ranked = [
                max(len(sequence) - ranked, first) if counted is None else first for sequence in sequences
            ]
        self._nll = [torch.zeros(max(len(sequence) - first, 0)) for sequence in sequences]
        self._ranks = [
            torch.empty(max(len(sequence) - origin, 0), dtype=torch.int64)
            for sequence, origin in zip(sequences, self._first_ranked, strict=True)
        ]

    def add(self, row: int, draw: int, window: Window, log_probs: Tensor) -> None:
        """Add one window's `log_probs` [choices, widest set]. Of several draws, the first gives the ranks."""
        add_losses(self._nll[row], window, log_probs, self._style)
        if self._style.ranked_by in ("catalogue", "labels") or draw != -1:
            return
        start, end = window.events[0], window.events[-1] + 1
        origin = self._first_ranked[row]
        first = max(origin, start)
        if first < end:
            offset = first - start
            scores = log_probs[offset:]
            if self._style.ranked_by == "items":
                scores = self._masked(scores, self._sequences[row], first, end)
            targets = torch.as_tensor(window.targets)[offset:]
            self._ranks[row][first - origin : end - origin] = ranks(scores, targets)

    def rank(self, model: nn.Module, token_budget: int, should_stop: ShouldStop | None) -> None:
        """Rank the true items in the catalogue, by the scores after the prompt of the items before them."""
        wanted = [
            (row, event)
            for row, origin in enumerate(self._first_ranked)
            for event in range(origin, len(self._sequences[row]))
        ]
        for start in range(0, len(wanted), _RANKED_AT_ONCE):
            check_stop(should_stop)
            chosen = wanted[start : start + _RANKED_AT_ONCE]
            histories = [self._sequences[row][:event] for row, event in chosen]
            scores = self._style.scores(model, histories, token_budget=token_budget)
            for place, history in enumerate(histories):
                scores[place, list(history)] = -torch.inf
            found = ranks(scores, torch.tensor([self._sequences[row][event] for row, event in chosen]))
            for (row, event), own in zip(chosen, found.tolist(), strict=True):
                self._ranks[row][event - self._first_ranked[row]] = own

    def marks(self, row: int, window: Window) -> Tensor:
        """Which choices of a window count, bool [choices]."""
        if self._counted is None:
            return torch.ones(len(window.events), dtype=torch.bool)
        return self._counted[row][torch.as_tensor(window.events)]

    def result(self) -> tuple[Reading, ...]:
        readings = zip(self._nll, self._ranks, self._labels(), strict=True)
        if self._counted is None:
            return tuple(Reading(nll, ranked, liked) for nll, ranked, liked in readings)
        marked = [marks[self._style.first_target :] for marks in self._counted]
        return tuple(
            Reading(
                nll[marks],
                ranked if self._labelled else ranked[marks],
                None if liked is None else liked[marks],
            )
            for (nll, ranked, liked), marks in zip(readings, marked, strict=True)
        )

    def _labels(self) -> list[Tensor | None]:
        if not self._labelled:
            return [None] * len(self._sequences)
        first = self._style.first_target
        return [
            torch.tensor([bool(self._style.liked(event)) for event in own[first:]], dtype=torch.bool)
            for own in self._sequences
        ]

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
) -> Iterator[tuple[int, int, Window, list[Tensor]]]:
    """Yield the row of each window, its draw, the window, and its log-probabilities [choices, widest set] by model."""
    windows = [
        (row, draw, window)
        for row, own in enumerate(sequences)
        for draw, window in reading_windows(style, own)
    ]
    most = rows_at_most(models[0], [window for _, _, window in windows])
    batches = by_token_budget([len(window.tokens) for _, _, window in windows], token_budget, most)
    for step, batch in enumerate(batches, start=1):
        check_stop(should_stop)
        chosen = [windows[index][2] for index in batch]
        outputs = [log_probabilities(model, chosen, style.pad_token) for model in models]
        for position, index in enumerate(batch):
            row, draw, window = windows[index]
            yield row, draw, window, [output[position, : len(window.events)] for output in outputs]
        if on_step is not None:
            on_step(Progress("evaluation", step, len(batches)))
