"""The subjects of least change: their losses and gradients, computed for many subjects in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recommender.choices import IGNORED, Batch, Window, batch_of, choice_logits
from unlearning.evaluation.gains import smoothed
from unlearning.methods.method import ForgetTask
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.window_gradients import WindowGradients
from unlearning.methods.shared.windows import marked_windows
from unlearning.progress import ShouldStop, check_stop

# Most numbers of single windows' gradients that are held at once: large adapters are processed window by window.
_MOST_NUMBERS = 2**26


def rows_at_once(model: ChoiceModel, batch_size: int) -> int:
    """How many windows' gradients may be held at once, at least one and at most `batch_size`."""
    numbers = sum(parameter.numel() for parameter in model.parameters.values())
    return max(1, min(batch_size, _MOST_NUMBERS // numbers))


@dataclass(frozen=True)
class _Row:
    """A window of the subject with index `subject`, whole items only.

    `targets` are `IGNORED` where nothing counts; `items` [counted choices] are the numbers, among the subject's counted
    items, of the items that the counted choices are about.
    """

    subject: int
    window: Window
    targets: list[int]
    items: tuple[int, ...]

    @property
    def distinct(self) -> list[int]:
        """The numbers of its items, each once, in order."""
        return list(dict.fromkeys(self.items))


@dataclass(frozen=True)
class _Packed:
    """Windows of several subjects as one batch; `item_of` int64 [counted choices] numbers the items of all rows."""

    batch: Batch
    rows: tuple[_Row, ...]
    item_of: Tensor
    items: int

    @classmethod
    def of(cls, rows: Sequence[_Row], pad: int) -> _Packed:
        numbers: list[int] = []
        items = 0
        for row in rows:
            place = {item: items + number for number, item in enumerate(row.distinct)}
            numbers += [place[item] for item in row.items]
            items += len(place)
        batch = batch_of([row.window for row in rows], pad, [row.targets for row in rows])
        return cls(batch, tuple(rows), torch.tensor(numbers, dtype=torch.int64), items)


class Subjects:
    """The subjects' windows. Losses are smoothed with the task's smoothing, like the levels."""

    def __init__(
        self, model: ChoiceModel, task: ForgetTask, *, batch_size: int, should_stop: ShouldStop | None
    ) -> None:
        self._model = model
        self._task = task
        self._should_stop = should_stop
        self._parameters = list(model.parameters.values())
        self._gradients = WindowGradients(model)
        self._batch_size = batch_size
        self._rows = [list(_rows(task, subject)) for subject in range(len(task.forget))]
        # The number of predicted items of each subject.
        self.items = [len({item for row in rows for item in row.items}) for rows in self._rows]
        self._everybody = self._pack(range(len(self._rows)), batch_size)

    def __len__(self) -> int:
        """Number of subjects."""
        return len(self._rows)

    def losses(self) -> Tensor:
        """Each subject's mean loss per item, float64 [subjects]."""
        means = [float(own.mean()) for own in self.item_losses()]
        return torch.tensor(means, dtype=torch.float64)

    def item_losses(self, *, of_base: bool = False) -> list[Tensor]:
        """Losses of each subject's items in order, under the model or the base: one float64 [items] per subject."""
        everybody: list[Tensor] = []
        with torch.no_grad():
            for packed in self._everybody:
                check_stop(self._should_stop)
                found = self._item_losses(packed, of_base=of_base)
                everybody = everybody or [found.new_empty(items) for items in self.items]
                for row, own in zip(
                    packed.rows, torch.split(found, [len(row.distinct) for row in packed.rows]), strict=True
                ):
                    # Batches are ordered by length of window, so a subject's windows come in any order.
                    everybody[row.subject][row.distinct] = own
        return everybody

    def gradients(self, subjects: Sequence[int], weights: Sequence[Tensor] | None = None) -> Tensor:
        """Gradients of these subjects' mean losses, [subjects, parameters]; `weights` [items] per subject, or equal."""
        shares = [
            torch.full((self.items[subject],), 1.0 / self.items[subject], dtype=torch.float64)
            if weights is None
            else weights[index] / weights[index].sum()
            for index, subject in enumerate(subjects)
        ]
        index_of = {subject: index for index, subject in enumerate(subjects)}
        first = self._parameters[0]
        total = torch.zeros(len(subjects), sum(one.numel() for one in self._parameters), device=first.device)
        at_once = rows_at_once(self._model, self._batch_size) if self._gradients.possible else 1
        for packed in self._pack(subjects, at_once):
            check_stop(self._should_stop)
            counted = torch.cat([shares[index_of[row.subject]][row.distinct] for row in packed.rows])
            owners = torch.tensor([index_of[row.subject] for row in packed.rows], device=first.device)
            total.index_add_(0, owners, self._of(packed, counted).to(total))
        return total

    def _of(self, packed: _Packed, counted: Tensor) -> Tensor:
        """Gradient of each row's loss, [rows, parameters]; `counted` are the weights of the batch's items."""
        if not self._gradients.possible:
            loss = (self._item_losses(packed) * counted).sum()
            return torch.cat(
                [one.flatten() for one in torch.autograd.grad(loss, self._parameters)]
            ).unsqueeze(0)
        with self._gradients.watching():
            found = self._item_losses(packed)
        return self._gradients.of((found * counted.to(found)).sum())

    def _item_losses(self, packed: _Packed, *, of_base: bool = False) -> Tensor:
        """Losses of the batch's counted items, float64 [items]: an item's choices add up."""
        batch = packed.batch
        if of_base:
            self._model.forwards += batch.rows
            logits = choice_logits(self._task.base.model, batch)
        else:
            logits = self._model.logits(batch)
        found = -losses.log_likelihoods(logits, batch.targets.to(logits.device), "item")
        found = found.new_zeros(packed.items).index_add(0, packed.item_of.to(found.device), found)
        return smoothed(found, self._task.smoothing, self._task.base.style.event_options)

    def _pack(self, subjects: Sequence[int], rows: int) -> list[_Packed]:
        """These subjects' windows in batches of at most `rows`, longest first, so that a batch has similar lengths."""
        wanted = sorted(
            (row for subject in subjects for row in self._rows[subject]),
            key=lambda row: -len(row.window.tokens),
        )
        pad = self._task.base.style.pad_token
        return [_Packed.of(wanted[start : start + rows], pad) for start in range(0, len(wanted), rows)]


def _rows(task: ForgetTask, subject: int) -> Iterator[_Row]:
    marks = None if task.forget_targets is None else [task.forget_targets[subject]]
    number: dict[int, int] = {}
    for window, targets in marked_windows(task.base.style, [task.forget[subject]], marks):
        events = [event for event, target in zip(window.events, targets, strict=True) if target != IGNORED]
        items = tuple(number.setdefault(event, len(number)) for event in events)
        yield _Row(subject, window, targets, items)
