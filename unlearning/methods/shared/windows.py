"""Training windows as batches, drawn with a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from recommender import PromptStyle
from recommender.choices import IGNORED, Batch, Window, batch_of
from recommender.styles.style import METHODS_DRAW
from unlearning.errors import InvalidTask


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
        self._windows = list(marked_windows(style, sequences, targets))
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
            predicted += int(batches[-1].predicted().sum())
        return batches

    def once(self) -> Iterator[Batch]:
        """Every window once, in the order of the sequences."""
        for start in range(0, len(self._windows), self._batch_size):
            yield self._batch(range(start, min(start + self._batch_size, len(self._windows))))

    def _batch(self, chosen: Sequence[int]) -> Batch:
        return batch_of(
            [self._windows[index][0] for index in chosen],
            self._pad,
            [self._windows[index][1] for index in chosen],
        )


def marked_windows(
    style: PromptStyle, sequences: Sequence[Sequence[int]], marks: Sequence[Sequence[bool]] | None
) -> Iterator[tuple[Window, list[int]]]:
    """Each window with its targets, `IGNORED` for events that are not marked; only windows with a marked one."""
    for row, sequence in enumerate(sequences):
        for window in style.windows(sequence, draw=METHODS_DRAW):
            targets = [
                target if marks is None or marks[row][event] else IGNORED
                for target, event in zip(window.targets, window.events, strict=True)
            ]
            if any(target != IGNORED for target in targets):
                yield window, targets
