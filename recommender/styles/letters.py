"""Letters: the model reads titles of a history and of candidates, and answers with the letter of one (LlamaRec).

One forward pass ranks up to as many candidates as there are labels: arXiv 2311.02089, on which U-CAN was evaluated
(arXiv 2602.23400).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from recommender.batching import by_token_budget
from recommender.choices import OptionSet, Window, batch_of, choice_logits
from recommender.errors import ConfigError, DataError
from recommender.styles.questions import Question
from recommender.styles.style import ItemEvents, RankedBy
from recommender.styles.text import (
    FrameDraw,
    PromptWriter,
    Supervise,
    one_of,
    read_text_fields,
    single_token,
    whole_number,
)
from recommender.styles.text_style import TextStyle

LabelsRead = Literal["in_context", "alone"]
_KEYS = ("labels", "labels_read", "draws", "shuffle")
_DRAWS = 4


@dataclass(frozen=True, eq=False)
class LettersStyle(TextStyle, ItemEvents):
    """A letter for each of at most `len(labels)` candidates.

    A training window holds the true item among uniform items that the user has not met, in random order; both are drawn
    again for every epoch. What is measured is the mean over `draws` fixed draws, which training never uses. An event is
    told among as many options as there are labels.

    Attributes:
        labels: one token each where the answer stands.
        labels_read: whether a ranking reads the answer at the tokens that it has there (`in_context`), or at those of
            the bare letter (`alone`): LlamaRec's own evaluation does the latter, where its training taught nothing.
            Losses are always those of the tokens that were trained.
        supervise: which tokens the owner trained: the `answer`, also the end of the sequence (`answer+eos`), or `all`.
        shuffle: whether the candidates of training and measuring are shuffled; else the true one is the first.

    Raises:
        ConfigError: fewer than two labels, a label that is not one token, two labels with one token, or a frame without
            a slot for the candidates.
    """

    writer: PromptWriter
    labels: str
    labels_read: LabelsRead = "in_context"
    supervise: Supervise = "answer+eos"
    first_target: int = 1
    draws: int = _DRAWS
    pad: int | None = None
    shuffle: bool = True
    others: tuple[PromptWriter, ...] = ()
    frame_draw: FrameDraw = "first"
    serve_frame: int = 0
    _sets: dict[tuple[int, ...], OptionSet] = field(default_factory=dict, repr=False)

    name: ClassVar[str] = "letters"
    ranked_by: ClassVar[RankedBy] = "options"
    redraws: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ConfigError(f"labels must be at least two different letters, got {self.labels!r}")
        if any(writer.frame.slot("candidates") is None for writer in self.writers):
            raise ConfigError("the frame of letters needs a slot for the candidates")
        if self.catalogue_size < 2:
            raise ConfigError("letters need a catalogue of at least two items")
        for name, tokens in (("answer", self._answers), ("read", self._read)):
            if len(set(tokens)) != len(tokens):
                raise ConfigError(f"two labels have the same {name} token")

    @property
    def candidates(self) -> int:
        """Number of labels, or of items if there are fewer."""
        return min(len(self.labels), self.catalogue_size)

    @property
    def event_options(self) -> int:
        """The candidates."""
        return self.candidates

    @property
    def answer_tokens(self) -> tuple[int, ...]:
        """The token of each label where the answer stands."""
        return tuple(self._answers)

    def event_window(
        self, history: Sequence[int], item: int, candidates: Sequence[int] | None = None, *, frame: int = 0
    ) -> Window:
        """The window that offers these candidates, or drawn ones."""
        offered = self.offered(history, item, 0) if candidates is None else list(candidates)
        if item not in offered:
            raise DataError("the true item is not among the candidates")
        place = offered.index(item)
        return self.answered(
            self._prompt(history, offered, self.writers[frame]),
            (self._answers[place],),
            event=len(history),
            targets=(place,),
            options=(self._options(len(offered), self._answers),),
        )

    def scores(
        self,
        model: nn.Module,
        histories: Sequence[Sequence[int]],
        *,
        candidates: Sequence[Sequence[int]] | None = None,
        token_budget: int = 8192,
    ) -> Tensor:
        """The candidates' logits; -inf for all other items.

        Raises:
            DataError: no candidates, more than there are labels, or an item outside the catalogue.
        """
        if candidates is None:
            raise DataError("letters rank candidates: name some, or use a retriever")
        scores = torch.full((len(histories), self.catalogue_size), -torch.inf)
        rows = [row for row, chosen in enumerate(candidates) if chosen]
        windows = [self._question(histories[row], candidates[row]) for row in rows]
        for batch in by_token_budget([len(window.tokens) for window in windows], token_budget):
            with torch.inference_mode():
                found = choice_logits(
                    model, batch_of([windows[index] for index in batch], self.pad_token)
                ).cpu()
            for index, logits in zip(batch, found, strict=True):
                chosen = list(candidates[rows[index]])
                scores[rows[index], chosen] = logits[0, : len(chosen)].clone()
        return scores

    def questions(self, history: Sequence[int], candidates: Sequence[int] | None) -> list[Question]:
        """One, about as many letters as there are candidates.

        Raises:
            DataError: no candidates, more than there are labels, or an item outside the catalogue.
        """
        if candidates is None:
            raise DataError("letters rank candidates: name some, or use a retriever")
        if not candidates:
            return []
        prompt = self._prompt(history, candidates, self.serving)
        return [Question(tuple(prompt), tuple(self._read[: len(candidates)]))]

    def answered_scores(self, answers: Sequence[Sequence[float]]) -> list[float]:
        """The log-probabilities: logits but for what all letters have in common."""
        return [value for answer in answers for value in answer]

    def prompt_tokens(self, history: Sequence[int]) -> int:
        """From the titles' lengths; the candidates' are taken to be average ones."""
        lengths = self.writer.title_lengths
        mean = sum(lengths) / len(lengths) + 4
        own = sum(lengths[item] + 4 for item in history[-self.history :])
        return min(self.writer.max_tokens, round(self.serving.frame_tokens + own + mean * self.candidates))

    def to_json(self) -> dict[str, Any]:
        """Schema 2 of `style.json`."""
        return {
            **self.text_to_json(),
            "labels": self.labels,
            "labels_read": self.labels_read,
            "draws": self.draws,
            "shuffle": self.shuffle,
        }

    @classmethod
    def from_json(
        cls, content: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast, titles: Sequence[str]
    ) -> LettersStyle:
        """Read the output of `to_json`.

        Raises:
            ConfigError: a key is missing, unknown or not valid.
        """
        labels = content.get("labels", "ABCDEFGHIJKLMNOPQRST")
        if not isinstance(labels, str):
            raise ConfigError("labels must be a string of letters")
        shuffle = content.get("shuffle", True)
        if type(shuffle) is not bool:
            raise ConfigError("shuffle must be true or false")
        fields = read_text_fields(content, cls.name, tokenizer, titles, own_keys=_KEYS)
        return cls(
            **fields,
            labels=labels,
            labels_read=one_of(content, "labels_read", ("in_context", "alone"), "in_context"),
            draws=whole_number(content, "draws", _DRAWS, 1),
            shuffle=shuffle,
        )

    @cached_property
    def _answers(self) -> list[int]:
        """The token of each label where the answer stands, as it was trained: the same one in every frame."""
        found, *others = (
            [
                single_token(
                    label, writer.continued(*self._fields([0], range(self.candidates), writer), label)
                )
                for label in self.labels[: self.candidates]
            ]
            for writer in self.writers
        )
        if any(own != found for own in others):
            raise ConfigError("labels are other tokens in one frame than in another: end the frames alike")
        return found

    @cached_property
    def _read(self) -> list[int]:
        """The token of each label whose logit ranks its candidate."""
        if self.labels_read == "in_context":
            return self._answers
        encode = self.writer.tokenizer
        return [
            single_token(label, list(encode(label, add_special_tokens=False).input_ids))
            for label in self.labels[: self.candidates]
        ]

    def _options(self, count: int, tokens: Sequence[int]) -> OptionSet:
        """The first labels' tokens: those that were trained, for whatever is measured; those that are read, to rank."""
        chosen = tuple(tokens[:count])
        return self._sets.setdefault(chosen, OptionSet(chosen))

    def offered(self, history: Sequence[int], item: int, draw: int) -> list[int]:
        """The candidates of an event, in their order: the true item and as many others that the user has not met.

        The draw knows nothing of who the user is.
        """
        generator = random.Random(f"{draw}/{len(history)}/{history[-1] if history else ''}/{item}")
        met = {*history, item}
        wanted = min(self.candidates - 1, self.catalogue_size - len(met))
        others: list[int] = []
        if 2 * (len(met) + wanted) > self.catalogue_size:
            others = generator.sample([one for one in range(self.catalogue_size) if one not in met], wanted)
        while len(others) < wanted:
            one = generator.randrange(self.catalogue_size)
            if one not in met:
                met.add(one)
                others.append(one)
        offered = [item, *others]
        if self.shuffle:
            generator.shuffle(offered)
        return offered

    def _question(self, history: Sequence[int], offered: Sequence[int]) -> Window:
        prompt = self._prompt(history, offered, self.serving)
        return Window(prompt, (0,), (len(prompt) - 1,), (0,), (self._options(len(offered), self._read),))

    def _prompt(self, history: Sequence[int], offered: Sequence[int], writer: PromptWriter) -> list[int]:
        if len(offered) > self.candidates:
            raise DataError(f"{len(offered)} candidates, but only {self.candidates} labels")
        if not 0 <= min(offered) <= max(offered) < self.catalogue_size:
            raise DataError(f"a candidate is outside the catalogue of {self.catalogue_size}")
        if history and not 0 <= min(history) <= max(history) < self.catalogue_size:
            raise DataError(f"a history holds an item outside the catalogue of {self.catalogue_size}")
        return writer.prompt(*self._fields(history, offered, writer))

    def _fields(
        self, history: Sequence[int], offered: Sequence[int], writer: PromptWriter
    ) -> tuple[list[dict[str, object]], dict[str, list[dict[str, object]]]]:
        choice = writer.frame.slot("candidates")
        assert choice is not None
        return (
            writer.past(history),
            {
                "candidates": [
                    {"n": n + 1, "title": writer.title(item, choice), "label": self.labels[n]}
                    for n, item in enumerate(offered)
                ]
            },
        )
