"""Item tokens: one token of the vocabulary for every item, one forward pass for the whole catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from recommender.batching import by_token_budget, pad_left
from recommender.choices import OptionSet, Window
from recommender.errors import ConfigError, DataError
from recommender.styles.questions import Question
from recommender.styles.style import InOneForward, ItemEvents, RankedBy


@dataclass(frozen=True)
class ItemTokenStyle(InOneForward, ItemEvents):
    """One token per catalogue item after a beginning-of-sequence token: `bos i1 i2 … in`.

    One forward pass scores the whole catalogue: the logits at the last position, restricted to the item tokens, rank
    the items. The default vocabulary is `pad, bos, item 0, item 1, …`. For a pretrained model
    whose vocabulary was extended by the items, `first_item_token` says where they start.

    Raises:
        ConfigError: empty catalogue, non-positive window, or special tokens that collide with items.
    """

    catalogue_size: int
    window: int = 100
    pad_token: int = 0
    bos_token: int = 1
    first_item_token: int = 2

    name: ClassVar[str] = "item_tokens"
    first_target: ClassVar[int] = 0
    ranked_by: ClassVar[RankedBy] = "items"
    candidates: ClassVar[int | None] = None
    draws: ClassVar[int] = 1
    redraws: ClassVar[bool] = False
    frames: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.catalogue_size < 1:
            raise ConfigError(f"catalogue_size must be at least 1, got {self.catalogue_size}")
        if self.window < 1:
            raise ConfigError(f"window must be at least 1, got {self.window}")
        items = range(self.first_item_token, self.first_item_token + self.catalogue_size)
        if min(self.pad_token, self.bos_token, self.first_item_token) < 0 or self.pad_token == self.bos_token:
            raise ConfigError("pad_token, bos_token and first_item_token must be >= 0 and pad != bos")
        if self.pad_token in items or self.bos_token in items:
            raise ConfigError(f"pad_token and bos_token must lie outside the item tokens {items}")

    @property
    def vocab_size(self) -> int:
        """Smallest vocabulary that holds every token this style can write."""
        return max(self.pad_token, self.bos_token, self.first_item_token + self.catalogue_size - 1) + 1

    def first_items(self, count: int) -> ItemTokenStyle:
        """This style itself.

        Raises:
            DataError: `count` is another number: the vocabulary of the model is made for one catalogue.
        """
        if count != self.catalogue_size:
            raise DataError(
                f"a model with a token for each of {self.catalogue_size} items has no form for {count}"
            )
        return self

    @property
    def event_options(self) -> int:
        """The whole catalogue."""
        return self.catalogue_size

    @property
    def history(self) -> int:
        """The window."""
        return self.window

    @cached_property
    def items(self) -> OptionSet:
        """The item tokens, in catalogue order."""
        return OptionSet(range(self.first_item_token, self.first_item_token + self.catalogue_size))

    @property
    def item_rows(self) -> slice:
        """The rows of an output layer that belong to the items, in catalogue order."""
        return slice(self.first_item_token, self.first_item_token + self.catalogue_size)

    def item_token(self, item: int) -> int:
        """Token of catalogue index `item`.

        Raises:
            DataError: `item` is outside the catalogue.
        """
        if not 0 <= item < self.catalogue_size:
            raise DataError(f"item {item} is outside the catalogue of {self.catalogue_size}")
        return self.first_item_token + item

    def encode(self, history: Sequence[int]) -> list[int]:
        """`bos` and the last `window` items; an empty history is `bos` alone."""
        return [self.bos_token, *(self.item_token(item) for item in history[-self.window :])]

    def windows(self, sequence: Sequence[int], *, draw: int = 0) -> Iterator[Window]:
        """Divide a sequence into chunks of at most `window + 1` items, so that each item is predicted exactly once.

        Token `t` of a chunk predicts item `t` of it (`bos` predicts the first), and the last item of a full chunk
        is predicted from exactly the prompt that scoring would use. The chunks do not overlap and are aligned to
        the end: the latest items have the longest context, and only the oldest chunk can be shorter. With the last
        window alone, most of a long history would be missing from training and from every measure of memorisation.
        """
        longest = self.window + 1
        start = 0
        end = len(sequence) % longest or longest
        while start < len(sequence):
            items = sequence[start:end]
            yield Window(
                tokens=self.encode(items[:-1]),
                events=range(start, start + len(items)),
                positions=range(len(items)),
                targets=items,
                options=(self.items,) * len(items),
            )
            start, end = end, end + longest

    def event_window(
        self, history: Sequence[int], item: int, candidates: Sequence[int] | None = None, *, frame: int = 0
    ) -> Window:
        """The last window of the history with the item."""
        return list(self.windows([*history, item]))[-1]

    def decode(self, tokens: Sequence[int]) -> str:
        """The numbers of the tokens."""
        return " ".join(map(str, tokens))

    def scores(
        self,
        model: nn.Module,
        histories: Sequence[Sequence[int]],
        *,
        candidates: Sequence[Sequence[int]] | None = None,
        token_budget: int = 8192,
    ) -> Tensor:
        """The items' logits at the last position; with `candidates`, -inf for all other items."""
        scores = torch.empty(len(histories), self.catalogue_size)
        prompts = [self.encode(history) for history in histories]
        for batch in by_token_budget([len(prompt) for prompt in prompts], token_budget):
            scores[batch] = self._last_logits(model, [prompts[row] for row in batch])
        return scores if candidates is None else only(scores, candidates)

    def questions(self, history: Sequence[int], candidates: Sequence[int] | None) -> list[Question]:
        """One, about the tokens of the candidates or of all items."""
        items = range(self.catalogue_size) if candidates is None else candidates
        options = tuple(self.item_token(item) for item in items)
        return [Question(tuple(self.encode(history)), options)] if options else []

    def answered_scores(self, answers: Sequence[Sequence[float]]) -> list[float]:
        """The log-probabilities: logits but for what all items have in common."""
        return [value for answer in answers for value in answer]

    @torch.inference_mode()
    def _last_logits(self, model: nn.Module, prompts: Sequence[Sequence[int]]) -> Tensor:
        # With padding on the left, the last column holds every prompt's last token; only that column needs logits.
        device = next(model.parameters()).device
        tokens, mask = pad_left(prompts, self.pad_token)
        tokens, mask = tokens.to(device), mask.to(device)
        logits: Tensor = model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            logits_to_keep=1,
            use_cache=False,
        ).logits
        return logits[:, -1, self.item_rows].float().cpu()

    def prompt_tokens(self, history: Sequence[int]) -> int:
        """One for each item that the model reads, and one to begin with."""
        return min(len(history), self.window) + 1

    def to_json(self) -> dict[str, Any]:
        """Content of `style.json` beside the model weights."""
        return {"style": self.name, **asdict(self)}

    @classmethod
    def from_json(cls, content: Any) -> ItemTokenStyle:
        """Read the output of `to_json`.

        Raises:
            ConfigError: another style, or fields that are missing, unknown or not integers.
        """
        if not isinstance(content, dict) or content.get("style") != "item_tokens":
            raise ConfigError("not an item_tokens style")
        fields = {name: value for name, value in content.items() if name != "style"}
        if any(type(value) is not int for value in fields.values()):
            raise ConfigError(f"item_tokens style needs integers, got {fields}")
        try:
            return cls(**fields)
        except TypeError as error:
            raise ConfigError(f"item_tokens style: {error}") from error


def only(scores: Tensor, candidates: Sequence[Sequence[int]]) -> Tensor:
    """Scores `[rows, items]` with -inf for items that are not among the row's candidates.

    Raises:
        DataError: a candidate outside the catalogue.
    """
    kept = torch.full_like(scores, -torch.inf)
    for row, chosen in enumerate(candidates):
        if chosen and not 0 <= min(chosen) <= max(chosen) < scores.shape[1]:
            raise DataError(f"a candidate is outside the catalogue of {scores.shape[1]}")
        places = list(chosen)
        kept[row, places] = scores[row, places]
    return kept
