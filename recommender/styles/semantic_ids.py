"""Semantic ids: every item is a tuple of tokens, and the model writes that of the next one (LC-Rec, MiniOneRec).

Quantisers give similar items tuples with a common beginning: arXiv 2305.05065 (TIGER), 2311.09049 (LC-Rec). All items
are ranked exactly, with as many forward passes as a tuple has tokens, see `recommender.styles.trie_scores`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from inputs import canonical_json
from recommender.catalogue import Catalogue
from recommender.choices import Window
from recommender.errors import ConfigError, DataError
from recommender.styles.item_index import read_index, read_popularity, token_numbers
from recommender.styles.item_tokens import only
from recommender.styles.style import ItemEvents, RankedBy
from recommender.styles.text import FrameDraw, PromptWriter, Supervise, one_of, read_text_fields
from recommender.styles.text_style import TextStyle
from recommender.styles.trie import Trie, check_paths
from recommender.styles.trie_scores import MOST_NODES, Best, Score, best_items, catalogue_scores

Collisions = Literal["popularity", "index"]
_SCORES, _COLLISIONS = ("vocabulary", "children"), ("popularity", "index")
# With so few inner nodes, two or three forwards score all items, and a search takes more.
_FEW_NODES = 1024
# A search that has read so many prefixes goes on like a scoring of all items, and keeps every prefix besides.
_MOST_NODES = 4096
_KEYS = ("score", "collisions")


@dataclass(frozen=True, eq=False)
class SemanticIdsStyle(TextStyle, ItemEvents):
    """As many choices per event as a tuple has tokens, each among the children of the true prefix in the trie.

    The loss of an event is the sum over its choices: -log of a distribution over the different tuples. Items that share
    a tuple share its likelihood. Training minimises the owner's loss instead, over the whole vocabulary.

    Attributes:
        item_ids: of the catalogue, by index.
        index: the token strings of each item.
        paths: the tokens of each item.
        score: what ranks an item: the log-probability of its tokens in the whole `vocabulary`, as the owners' decoders
            rank, or among the `children` of each prefix only.
        collisions: the order of items that share a tuple; None refuses them.
        popularity: how often each item was met, where that is the order. The counts must not come from the users that
            the service serves: they belong to the base, which forgets nobody.
        supervise: which tokens the owner trained: the `answer`, also the end of the sequence (`answer+eos`), or `all`.

    Raises:
        ConfigError: tuples of different lengths, collisions without an order, an order without popularity, a history
            whose empty form is no token, or an answer that merges with the prompt.
    """

    writer: PromptWriter
    item_ids: tuple[str, ...]
    index: tuple[tuple[str, ...], ...]
    paths: tuple[tuple[int, ...], ...]
    score: Score = "vocabulary"
    collisions: Collisions | None = None
    popularity: tuple[int, ...] | None = None
    supervise: Supervise = "answer+eos"
    first_target: int = 1
    pad: int | None = None
    others: tuple[PromptWriter, ...] = ()
    frame_draw: FrameDraw = "first"
    serve_frame: int = 0

    name: ClassVar[str] = "semantic_ids"
    ranked_by: ClassVar[RankedBy] = "catalogue"
    candidates: ClassVar[int | None] = None
    draws: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not self.item_ids:
            raise ConfigError("semantic ids need a catalogue of at least one item")
        check_paths(self.item_ids, self.index, self.paths, collisions=self.collisions is not None)
        if self.collisions == "popularity" and self.popularity is None:
            raise ConfigError('"collisions": "popularity" needs popularity.json: how often each item was met')
        others = [
            kind
            for kind in ("candidates", "target")
            if any(writer.frame.slot(kind) is not None for writer in self.writers)
        ]
        if others:
            raise ConfigError(f"the frame of semantic ids has no slot for {' and '.join(others)}")
        if self.writer.max_tokens < len(self.paths[0]) + 2:
            raise ConfigError(
                f"max_tokens leave no room for a prompt beside {len(self.paths[0])} tokens and an end"
            )
        if not all(writer.prompt([], {}) for writer in self.writers):
            raise ConfigError("the prompt of an empty history has no token; begin the frame with a text")
        self._check_answers()

    def _check_answers(self) -> None:
        # Only the first token can merge with the prompt, so one item of each is enough.
        by_first = {path[0]: item for item, path in enumerate(self.paths)}
        for writer in self.writers:
            past = writer.past([0])
            for item in by_first.values():
                answer = "".join(self.index[item])
                if tuple(writer.continued(past, {}, answer)) != self.paths[item]:
                    raise ConfigError(
                        f"{answer!r} is not the tokens of item {self.item_ids[item]!r} where the answer stands; "
                        "end the frame's last text where a token ends"
                    )

    @property
    def catalogue_size(self) -> int:
        """Number of items, those that share a tuple included."""
        return len(self.item_ids)

    def first_items(self, count: int) -> SemanticIdsStyle:
        """The ids of the first `count` items."""
        return replace(
            self,
            writer=self.writer.first_items(count),
            others=tuple(writer.first_items(count) for writer in self.others),
            item_ids=self.item_ids[:count],
            index=self.index[:count],
            paths=self.paths[:count],
            popularity=None if self.popularity is None else self.popularity[:count],
        )

    def items_digest(self, catalogue: Catalogue) -> str:
        """Of the catalogue, of each item's tokens, and of the counts that order items with the same tokens."""
        content = {"catalogue": catalogue.digest, "index": self.index, "popularity": self.popularity}
        return hashlib.sha256(canonical_json(content)).hexdigest()

    @cached_property
    def trie(self) -> Trie:
        """The trie of the tuples."""
        order = None if self.popularity is None else [-count for count in self.popularity]
        return Trie.of(self.paths, order if self.collisions == "popularity" else None)

    @property
    def event_options(self) -> int:
        """Number of different tuples."""
        return self.trie.leaves

    def event_window(
        self, history: Sequence[int], item: int, candidates: Sequence[int] | None = None, *, frame: int = 0
    ) -> Window:
        """The prompt and the item's tokens; the whole catalogue can answer, whatever the candidates."""
        self._refuse_unknown_items((item,))
        targets, options = self.trie.choices(item)
        return self.answered(
            self._prompt(history, self.writers[frame]),
            self.paths[item],
            event=len(history),
            targets=targets,
            options=options,
        )

    def scores(
        self,
        model: nn.Module,
        histories: Sequence[Sequence[int]],
        *,
        candidates: Sequence[Sequence[int]] | None = None,
        token_budget: int = 8192,
    ) -> Tensor:
        """Log-probabilities of all items, exact; with `candidates`, -inf for all other items.

        Items that share a tuple follow each other by one unit in the last place, in the order of `collisions`.

        Raises:
            DataError: an item outside the catalogue.
            ConfigError: the model's attention does not allow it, see `prompt_cache.check_attention`.
        """
        scores = catalogue_scores(
            model,
            self.trie,
            [self._prompt(history, self.serving) for history in histories],
            score=self.score,
            pad=self.pad_token,
            token_budget=token_budget,
        )
        return scores if candidates is None else only(scores, candidates)

    def top_k(
        self,
        model: nn.Module,
        history: Sequence[int],
        k: int,
        seen: Collection[int] = (),
        *,
        most_nodes: int = MOST_NODES,
    ) -> Best:
        """The `k` best items beside those in `seen`: the head of the sorted `scores`, without scoring all items.

        Raises:
            DataError: `k` below 1, or an item outside the catalogue.
            ConfigError: as for `scores`.
        """
        if k < 1:
            raise DataError(f"k must be at least 1, got {k}")
        return best_items(
            model,
            self.trie,
            self._prompt(history, self.serving),
            k,
            seen=seen,
            score=self.score,
            pad=self.pad_token,
            most_nodes=most_nodes,
        )

    def best(
        self, model: nn.Module, history: Sequence[int], k: int, seen: Collection[int]
    ) -> Sequence[tuple[int, float]] | None:
        """By best-first search, unless the trie is small, or the search would read most of it.

        Raises:
            DataError, ConfigError: as for `top_k`.
        """
        nodes = self.trie.fed
        if nodes < _FEW_NODES:
            return None
        found = self.top_k(model, history, k, seen, most_nodes=min(nodes // 2, _MOST_NODES))
        return tuple(zip(found.items, found.scores, strict=True)) if found.exact else None

    def prompt_tokens(self, history: Sequence[int]) -> int:
        """From the lengths of tuples and titles. The nodes of the trie, which every prompt takes too, are left out."""
        slot = self.serving.frame.histories[0]
        titles = self.writer.title_lengths if slot.names("title") else [0] * self.catalogue_size
        each = 2 + (self.trie.depth if slot.names("sid") else 0)
        own = sum(titles[item] + each for item in history[-self.history :])
        return min(self.writer.max_tokens, self.serving.frame_tokens + own)

    def to_json(self) -> dict[str, Any]:
        """Schema 2 of `style.json`."""
        return {
            **self.text_to_json(),
            "score": self.score,
            "collisions": self.collisions,
        }

    def index_json(self) -> dict[str, list[str]]:
        """Content of `index.json` beside the model weights."""
        return {item_id: list(strings) for item_id, strings in zip(self.item_ids, self.index, strict=True)}

    @classmethod
    def from_json(
        cls,
        content: Mapping[str, Any],
        tokenizer: PreTrainedTokenizerFast,
        catalogue: Catalogue,
        index: Mapping[str, Any],
        popularity: Mapping[str, Any] | None = None,
    ) -> SemanticIdsStyle:
        """Read the output of `to_json` and `index_json`; `popularity` is {item id: count}.

        Raises:
            ConfigError: a key is missing, unknown or not valid, or the index does not fit catalogue and tokenizer.
        """
        collisions = content.get("collisions")
        if collisions is not None:
            collisions = one_of(content, "collisions", _COLLISIONS, "index")
        strings = read_index(index, catalogue)
        fields = read_text_fields(
            content,
            cls.name,
            tokenizer,
            catalogue.titles,
            own_keys=_KEYS,
            sids=["".join(own) for own in strings],
            answer_tokens=max(map(len, strings), default=1),
        )
        return cls(
            **fields,
            item_ids=catalogue.item_ids,
            index=strings,
            paths=token_numbers(tokenizer, strings, catalogue),
            score=one_of(content, "score", _SCORES, "vocabulary"),
            collisions=collisions,
            popularity=None if popularity is None else read_popularity(popularity, catalogue),
        )

    def _prompt(self, history: Sequence[int], writer: PromptWriter) -> list[int]:
        self._refuse_unknown_items(history)
        return writer.prompt(writer.past(history), {})

    def _refuse_unknown_items(self, sequence: Sequence[int]) -> None:
        if sequence and not 0 <= min(sequence) <= max(sequence) < self.catalogue_size:
            raise DataError(f"a sequence holds an item outside the catalogue of {self.catalogue_size}")
