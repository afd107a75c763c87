"""What a prompt style is: how a user's history becomes tokens for a causal language model, and how it is ranked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor, nn

from recommender.catalogue import Catalogue
from recommender.choices import Window

# How the rank of a true item is found: among all items, from the logits that also gave its likelihood; among the
# options of its choice; or by ranking the catalogue after the prompt. With `labels` nothing is ranked: an event has a
# label, and the model says how likely it is.
RankedBy = Literal["items", "options", "catalogue", "labels"]

# Windows of a draw from 1 on are for training (one for each epoch), of draw 0 for methods, of negative draws for
# measuring: what is measured was never trained on with the same negatives in the same order.
METHODS_DRAW = 0


class PromptStyle(Protocol):
    """One way to phrase "what comes next for this user?" to a causal language model.

    Sequences and histories are events in time order. An event is a number: for most styles that of its item, for one
    that needs ratings that of an item and what the user thought of it.
    """

    @property
    def name(self) -> str:
        """Its name in `style.json`."""

    @property
    def catalogue_size(self) -> int:
        """Number of items that can be recommended."""

    @property
    def needs_ratings(self) -> bool:
        """Whether events are told by their ratings; then an event without one is in no sequence."""

    @property
    def event_kinds(self) -> int:
        """How many different events there are: every event is a number from 0 to below it."""

    def event(self, item: int, rating: float | None = None) -> int:
        """The event of meeting `item`, a catalogue index."""

    def item_of(self, event: int) -> int:
        """The catalogue index of an event's item."""

    def liked(self, event: int) -> bool | None:
        """The label of an event; None where it has none, and for a style that knows no labels."""

    @property
    def event_options(self) -> int:
        """Among how many an event is told: its loss is about ln of this for a model that knows nothing."""

    @property
    def first_target(self) -> int:
        """Number of a user's first events that no window predicts."""

    @property
    def history(self) -> int:
        """Number of a history's latest items that the model reads."""

    @property
    def pad_token(self) -> int:
        """Token that pads short prompts of a batch; never attended to."""

    @property
    def vocab_size(self) -> int:
        """Smallest vocabulary that holds every token this style can write."""

    @property
    def ranked_by(self) -> RankedBy:
        """How the rank of a true item is found when a sequence is read."""

    @property
    def candidates(self) -> int | None:
        """Most items that one prompt can rank; None for the whole catalogue."""

    @property
    def draws(self) -> int:
        """Over how many draws the loss of an event is averaged; 1 if windows hold nothing random."""

    @property
    def redraws(self) -> bool:
        """Whether windows hold something random, which training draws again for every epoch."""

    def windows(self, sequence: Sequence[int], *, draw: int) -> Iterator[Window]:
        """Windows that together predict every event of `sequence` from `first_target` on once, in order.

        Args:
            draw: seeds whatever is random in a window, such as negatives. The same draw gives the same windows.
        """

    @property
    def frames(self) -> int:
        """In how many frames training may write a prompt; what is measured is written in the first one."""

    def event_window(
        self, history: Sequence[int], item: int, candidates: Sequence[int] | None = None, *, frame: int = 0
    ) -> Window:
        """The window of one event, here called `item`, after a history, as training writes it.

        Args:
            candidates: those to offer, in this order; a style that ranks the whole catalogue does not need them.
            frame: the place of the frame, from 0 on.

        Raises:
            DataError: an item outside the catalogue, or candidates without the item.
        """

    def first_items(self, count: int) -> PromptStyle:
        """The style as it was when the catalogue had only its first `count` items.

        Raises:
            DataError: the catalogue has fewer, or this style is made for one catalogue.
        """

    def items_digest(self, catalogue: Catalogue) -> str:
        """SHA-256 (hex) of all that a model reads of the items: the catalogue, and how this style writes an item."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Tokens as text, for people."""

    def scores(
        self,
        model: nn.Module,
        histories: Sequence[Sequence[int]],
        *,
        candidates: Sequence[Sequence[int]] | None = None,
        token_budget: int,
    ) -> Tensor:
        """Scores `[len(histories), items]`, float32 on the CPU, higher is better; -inf for items that are no candidate.

        Args:
            candidates: catalogue indices to rank for each history; a style that ranks the whole catalogue does not
                need them.
            token_budget: most tokens, padding included, in one forward pass.

        Raises:
            DataError: an item outside the catalogue, or this style needs candidates and there are none.
        """

    def best(
        self, model: nn.Module, history: Sequence[int], k: int, seen: Collection[int]
    ) -> Sequence[tuple[int, float]] | None:
        """The `k` best items of the whole catalogue that are not in `seen`, best first, each with its score.

        They are the head of the sorted `scores`. None where scoring all items is the way to find them.
        """

    def prompt_tokens(self, history: Sequence[int]) -> int:
        """About how many tokens the prompt for this history has."""

    def to_json(self) -> dict[str, Any]:
        """Content of `style.json` beside the model weights."""


class _Catalogued(Protocol):
    @property
    def catalogue_size(self) -> int: ...


class ItemEvents:
    """Events that are their items and nothing else, whatever they were rated."""

    needs_ratings: ClassVar[bool] = False

    @property
    def event_kinds(self: _Catalogued) -> int:
        """The items."""
        return self.catalogue_size

    def event(self, item: int, rating: float | None = None) -> int:
        """The item."""
        return item

    def item_of(self, event: int) -> int:
        """The event."""
        return event

    def liked(self, event: int) -> bool | None:
        """No label."""
        return None


class InOneForward:
    """A catalogue that is all a model reads of the items, and one forward that scores all that can be ranked."""

    def items_digest(self, catalogue: Catalogue) -> str:
        """That of the catalogue."""
        return catalogue.digest

    def best(
        self, model: nn.Module, history: Sequence[int], k: int, seen: Collection[int]
    ) -> Sequence[tuple[int, float]] | None:
        """None: scoring all items is the way to find them."""
        return None
