"""The questions that windows put to a model, and the one kernel that answers them.

A recommender of any prompt style answers "what comes next?" at some positions of its tokens, and at each of them only
some tokens are answers: all item tokens, twenty letters, yes and no, the children of a node in a trie. Training,
likelihoods, divergences and gradients need nothing else, so they are written once, for choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from recommender.batching import pad_right

# As in torch's cross-entropy: the target of a position where nothing is asked.
IGNORED = -100
# The logit of the places that a set leaves free beside a wider one of its batch. Its probability rounds to 0; -inf
# would do the same, but makes NaN of the difference of two log-probabilities.
_NO_OPTION = -1e4


@dataclass(frozen=True, eq=False)
class OptionSet:
    """The tokens that can answer, in the order of their numbers. Compared by identity: make it once and share it.

    `tokens` is a `range` where they adjoin in the vocabulary: then their logits need no gathering.
    """

    tokens: Sequence[int]

    def __len__(self) -> int:
        """Number of options."""
        return len(self.tokens)


@dataclass(frozen=True, eq=False)
class Window:
    """Tokens, and the choices that the model makes at some of their positions; one place of each list per choice.

    Attributes:
        tokens: what the model reads; also the answers, where a later choice follows them.
        events: the event of the user's sequence that the choice is about. An event may take several choices, whose
            log-probabilities add up.
        positions: the index in `tokens` whose logits answer.
        targets: the place of the truth among the options.
        options: the tokens that can answer.
        language: indices in `tokens` whose next token the owner trained over the whole vocabulary. Empty where the
            choices themselves were trained.
    """

    tokens: Sequence[int]
    events: Sequence[int]
    positions: Sequence[int]
    targets: Sequence[int]
    options: Sequence[OptionSet]
    language: Sequence[int] = ()

    @property
    def everywhere(self) -> bool:
        """Whether every position asks for one and the same set of adjoining tokens."""
        return (
            self.positions == range(len(self.tokens))
            and isinstance(self.options[0].tokens, range)
            and all(one is self.options[0] for one in self.options)
        )


@dataclass(frozen=True)
class Asked:
    """What is asked where: `positions` and `sets` int64 [rows, choices], `table` int64 [sets, widest set].

    `sets` are rows of `table`, which holds token ids and -1 behind the end of a set.
    """

    positions: Tensor
    sets: Tensor
    table: Tensor

    def widths(self) -> Tensor:
        """Number of options of each choice, int64 [rows, choices]."""
        return (self.table >= 0).sum(-1)[self.sets]


@dataclass(frozen=True)
class Batch:
    """Windows as tensors.

    `tokens` is int64 [rows, positions]; `targets` int64 [rows, choices], `IGNORED` where nothing counts. `asked` is
    a slice of the vocabulary if every position asks for these tokens: then choices are positions. `events` int64
    [rows, choices] numbers the events of each row from 0 on; None where every choice is an event of its own.
    """

    tokens: Tensor
    targets: Tensor
    asked: Asked | slice
    events: Tensor | None = None

    @property
    def rows(self) -> int:
        """Number of windows."""
        return self.tokens.shape[0]

    @property
    def options(self) -> Tensor | int:
        """Number of options of each choice: int64 [rows, choices], or one number for all."""
        return self.asked.stop - self.asked.start if isinstance(self.asked, slice) else self.asked.widths()

    def predicted(self) -> Tensor:
        """Number of events that each row predicts, int64 [rows]; an event may take several choices."""
        counted = self.targets != IGNORED
        if self.events is None:
            return counted.sum(1)
        found = torch.zeros_like(self.events)
        return found.scatter_reduce(1, self.events, counted.to(found.dtype), "amax").sum(1)

    def first_row(self) -> Batch:
        """The first window alone."""
        asked = self.asked
        if not isinstance(asked, slice):
            asked = replace(asked, positions=asked.positions[:1], sets=asked.sets[:1])
        return Batch(
            self.tokens[:1], self.targets[:1], asked, None if self.events is None else self.events[:1]
        )

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        asked = self.asked
        if not isinstance(asked, slice):
            asked = Asked(asked.positions.to(device), asked.sets.to(device), asked.table.to(device))
        events = None if self.events is None else self.events.to(device)
        return Batch(self.tokens.to(device), self.targets.to(device), asked, events)


def batch_of(windows: Sequence[Window], pad: int, targets: Sequence[Sequence[int]] | None = None) -> Batch:
    """Windows as one batch, padded on the right with the token `pad`.

    Args:
        targets: instead of the windows' own, to leave choices out (`IGNORED`).
    """
    tokens, _ = pad_right([window.tokens for window in windows], pad)
    wanted, _ = pad_right([window.targets for window in windows] if targets is None else targets, IGNORED)
    first = windows[0].options[0]
    if all(window.everywhere and window.options[0] is first for window in windows):
        assert isinstance(first.tokens, range)
        return Batch(tokens, wanted, slice(first.tokens.start, first.tokens.stop))
    number: dict[int, int] = {}
    sets: list[OptionSet] = []
    rows = []
    for window in windows:
        for options in window.options:
            if number.setdefault(id(options), len(sets)) == len(sets):
                sets.append(options)
        rows.append([number[id(options)] for options in window.options])
    return Batch(
        tokens,
        wanted,
        Asked(
            positions=pad_right([window.positions for window in windows], 0)[0],
            sets=pad_right(rows, 0)[0],
            table=pad_right([options.tokens for options in sets], -1)[0],
        ),
        _events(windows),
    )


def _events(windows: Sequence[Window]) -> Tensor | None:
    """The events of each window's choices, numbered from 0 on; None if no event takes several choices."""
    if all(len(set(window.events)) == len(window.events) for window in windows):
        return None
    rows = []
    for window in windows:
        number: dict[int, int] = {}
        rows.append([number.setdefault(event, len(number)) for event in window.events])
    return pad_right(rows, 0)[0]


def choice_logits(model: nn.Module, batch: Batch) -> Tensor:
    """Logits of the options, float32 [rows, choices, widest set], of a causal model on the device of its parameters.

    Beyond the end of a narrower set they are so low that a softmax gives 0.
    """
    device = next(model.parameters()).device
    tokens = batch.tokens.to(device)
    # Right padding needs no attention mask: under causal attention no real token sees what follows it.
    if isinstance(batch.asked, slice):
        logits: Tensor = model(input_ids=tokens, use_cache=False).logits
        return logits[..., batch.asked].float()
    # A vocabulary of a language model is wide: only positions that some row asks get logits.
    kept, column = torch.unique(batch.asked.positions.to(device), return_inverse=True)
    logits = model(input_ids=tokens, use_cache=False, logits_to_keep=kept).logits
    rows = torch.arange(len(tokens), device=device).unsqueeze(1)
    table = batch.asked.table.to(device)[batch.asked.sets.to(device)]
    found = logits[rows, column].gather(-1, table.clamp(min=0)).float()
    return found.masked_fill(table < 0, _NO_OPTION)
