"""Prompt styles: how a user's history becomes tokens for a causal language model."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from recommender.errors import ConfigError, DataError


class PromptStyle(Protocol):
    """One way to phrase "what comes next for this user?" to a causal language model."""

    @property
    def catalogue_size(self) -> int:
        """Number of items that can be recommended."""

    @property
    def window(self) -> int:
        """Number of a history's latest items that the model reads."""

    @property
    def pad_token(self) -> int:
        """Token that pads short prompts of a batch; never attended to."""

    @property
    def vocab_size(self) -> int:
        """Smallest vocabulary that holds every token this style can write."""

    @property
    def item_token_slice(self) -> slice:
        """Where the items' logits lie in the vocabulary, in catalogue order."""

    def encode(self, history: Sequence[int]) -> list[int]:
        """Tokens of a prompt whose last position predicts the next item; of a long history, only the end is used."""

    def windows(self, sequence: Sequence[int]) -> Iterator[tuple[list[int], Sequence[int]]]:
        """Prompts that together predict every item of `sequence` once, as (tokens, items)."""


@dataclass(frozen=True)
class ItemTokenStyle:
    """One token per catalogue item after a beginning-of-sequence token: `bos i1 i2 … in`.

    One forward pass scores the whole catalogue: the logits at the last position, restricted to
    `item_token_slice`, rank the items. The default vocabulary is `pad, bos, item 0, item 1, …`. For a pretrained model
    whose vocabulary was extended by the items, `first_item_token` says where they start.

    Raises:
        ConfigError: empty catalogue, non-positive window, or special tokens that collide with items.
    """

    catalogue_size: int
    window: int = 100
    pad_token: int = 0
    bos_token: int = 1
    first_item_token: int = 2

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

    @property
    def item_token_slice(self) -> slice:
        """Where the items' logits lie in the vocabulary, in catalogue order."""
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

    def windows(self, sequence: Sequence[int]) -> Iterator[tuple[list[int], Sequence[int]]]:
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
            yield self.encode(items[:-1]), items
            start, end = end, end + longest

    def to_json(self) -> dict[str, Any]:
        """Content of `style.json` beside the model weights."""
        return {"style": "item_tokens", **asdict(self)}

    @classmethod
    def from_json(cls, content: Any) -> "ItemTokenStyle":
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
