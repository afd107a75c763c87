"""Training windows as batches of tokens and targets, drawn with a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recommender import PromptStyle
from recommender.batching import pad_right
from unlearning.errors import InvalidTask
from unlearning.methods.shared.losses import IGNORED


@dataclass(frozen=True)
class Batch:
    """`tokens` int64 [rows, positions]; `targets` likewise: the item each position predicts, or `IGNORED`."""

    tokens: Tensor
    targets: Tensor

    @property
    def rows(self) -> int:
        """Number of windows."""
        return self.tokens.shape[0]


class Windows:
    """The training windows of some sequences, as an endless supply of random batches or all of them in order.

    Args:
        style: cuts sequences into windows, as training did.
        sequences: catalogue indices in time order.
        targets: which items of each sequence are predicted; None for all. Windows that predict nothing are left out.
        batch_size: most windows in a batch.
        seed: seed of the order of `draw`: random permutations, one after the other.

    Raises:
        InvalidTask: `targets` do not mark each item of each sequence.
    """

    def __init__(
        self,
        style: PromptStyle,
        sequences: Sequence[Sequence[int]],
        targets: Sequence[Sequence[bool]] | None = None,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        if targets is not None and list(map(len, targets)) != list(map(len, sequences)):
            raise InvalidTask("targets must mark each item of each sequence")
        self._pad = style.pad_token
        self._batch_size = batch_size
        self._generator = torch.Generator().manual_seed(seed)
        self._windows = list(_windows(style, sequences, targets))
        self._order: list[int] = []

    def __len__(self) -> int:
        return len(self._windows)

    def draw(self) -> Batch:
        """The next random batch; no window occurs twice before every window has occurred once."""
        if not self._order:
            self._order = torch.randperm(len(self._windows), generator=self._generator).tolist()
        chosen, self._order = self._order[: self._batch_size], self._order[self._batch_size :]
        return self._batch(chosen)

    def sample(self, rows: int, items: int = 0) -> list[Batch]:
        """Random whole batches with at least `rows` windows and `items` predicted items, or all windows.

        Every window occurs once.
        """
        batches: list[Batch] = []
        drawn, predicted = 0, 0
        # `draw` gives every window once before any occurs twice, so the loop ends with the last window at the latest.
        while drawn < len(self) and (drawn < rows or predicted < items):
            batches.append(self.draw())
            drawn += batches[-1].rows
            predicted += int((batches[-1].targets != IGNORED).sum())
        return batches

    def once(self) -> Iterator[Batch]:
        """Every window once, in the order of the sequences."""
        for start in range(0, len(self._windows), self._batch_size):
            yield self._batch(range(start, min(start + self._batch_size, len(self._windows))))

    def _batch(self, chosen: Sequence[int]) -> Batch:
        tokens, _ = pad_right([self._windows[index][0] for index in chosen], self._pad)
        targets, _ = pad_right([self._windows[index][1] for index in chosen], IGNORED)
        return Batch(tokens, targets)


def _windows(
    style: PromptStyle, sequences: Sequence[Sequence[int]], targets: Sequence[Sequence[bool]] | None
) -> Iterator[tuple[list[int], list[int]]]:
    for row, sequence in enumerate(sequences):
        start = 0
        for tokens, items in style.windows(sequence):
            predicted = (
                list(items)
                if targets is None
                else [
                    item if wanted else IGNORED
                    for item, wanted in zip(items, targets[row][start : start + len(items)], strict=True)
                ]
            )
            start += len(items)
            if any(item != IGNORED for item in predicted):
                yield tokens, predicted
