"""Yes or no: the model reads what a user liked and disliked, and says whether they will like one more item (TALLRec).

Pointwise: arXiv 2305.00447; the task of E2URec (arXiv 2403.03536) and of CoLLM's first stage (arXiv 2310.19488).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from recommender.batching import by_token_budget
from recommender.choices import OptionSet, Window, batch_of, choice_logits
from recommender.errors import ConfigError, DataError
from recommender.styles.branches import common_beginning, last_logits, may_branch
from recommender.styles.questions import Question
from recommender.styles.style import RankedBy
from recommender.styles.text import (
    FrameDraw,
    PromptWriter,
    Supervise,
    one_of,
    read_text_fields,
    single_token,
    two_texts,
    whole_number,
)
from recommender.styles.text_style import TextStyle

LabelsRead = Literal["in_context", "alone"]
Read = Literal["softmax", "yes_logit"]
_KEYS = ("labels", "labels_read", "liked", "read", "answer_end", "candidates")
_NO, _YES = 0, 1
_UNRATED, _DISLIKED, _LIKED, _KINDS = 0, 1, 2, 3
_CANDIDATES = 50
# A shorter common beginning saves less than a second forward costs.
_LEAST_SHARED = 8


@dataclass(frozen=True, eq=False)
class YesNoStyle(TextStyle):
    """One choice of two labels per event: did the user like the item? Events without a rating are no events.

    An event is one whole number, as for every style: three times the item's, and 1 more if the user disliked it, 2 more
    if they liked it. So it stays the same when the catalogue grows.

    Attributes:
        labels: what the model answers for a disliked and for a liked item; one token each where the answer stands.
        above: an item is liked if its rating is higher.
        labels_read: whether a ranking reads the answer at the tokens that it has there (`in_context`), or at those of
            the bare labels (`alone`). Losses are always those of the tokens that were trained.
        read: what ranks: with `softmax` the log-odds of yes against no, with `yes_logit` the logit of yes, as CoLLM has
            it.
        answer_end: text that training wrote behind every answer.
        most_candidates: most items that one request may name.
        supervise: which tokens the owner trained: the `answer`, also the end of the sequence (`answer+eos`), or `all`.
        first_target: number of a user's first rated events that are never asked about.

    Raises:
        ConfigError: labels that are not two, or not one token each, or the same token; a frame without a slot for the
            target, or with one for candidates.
    """

    writer: PromptWriter
    labels: tuple[str, str]
    above: float
    labels_read: LabelsRead = "in_context"
    read: Read = "softmax"
    answer_end: str = ""
    most_candidates: int = _CANDIDATES
    supervise: Supervise = "answer+eos"
    first_target: int = 1
    pad: int | None = None
    others: tuple[PromptWriter, ...] = ()
    frame_draw: FrameDraw = "first"
    serve_frame: int = 0

    name: ClassVar[str] = "yes_no"
    needs_ratings: ClassVar[bool] = True
    ranked_by: ClassVar[RankedBy] = "labels"
    event_options: ClassVar[int] = 2
    draws: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if len(set(self.labels)) != 2 or not all(self.labels):
            raise ConfigError(f"labels must be two different texts, for no and for yes, got {self.labels!r}")
        if any(writer.frame.slot("target") is None for writer in self.writers):
            raise ConfigError("the frame of yes_no needs a slot for the target")
        if any(writer.frame.slot("candidates") is not None for writer in self.writers):
            raise ConfigError("the frame of yes_no has no slot for candidates")
        if not self.writer.titles:
            raise ConfigError("yes_no needs a catalogue of at least one item")
        for name, tokens in (("answer", self._answers), ("read", self._read)):
            if tokens[_NO] == tokens[_YES]:
                raise ConfigError(f"both labels have the same {name} token")
        if len(self._after) + 1 > self.writer.answer_tokens:
            raise ConfigError(f"answer_end {self.answer_end!r} is more tokens behind a label than alone")

    @property
    def candidates(self) -> int:
        """As configured, or all items if there are fewer."""
        return min(self.most_candidates, self.catalogue_size)

    @property
    def event_kinds(self) -> int:
        """Each item without a rating, disliked, and liked."""
        return _KINDS * self.catalogue_size

    def event(self, item: int, rating: float | None = None) -> int:
        """The item's number, and what the rating says."""
        if rating is None:
            return _KINDS * item
        return _KINDS * item + (_LIKED if rating > self.above else _DISLIKED)

    def item_of(self, event: int) -> int:
        """The item that the event's number is of."""
        return event // _KINDS

    def liked(self, event: int) -> bool | None:
        """What the event's number says beside its item."""
        told = event % _KINDS
        return None if told == _UNRATED else told == _LIKED

    def event_window(
        self, history: Sequence[int], item: int, candidates: Sequence[int] | None = None, *, frame: int = 0
    ) -> Window:
        """The question about the event's item and its answer, whatever the candidates."""
        self._refuse_unknown((item,))
        liked = self.liked(item)
        if liked is None:
            raise DataError("an event without a rating has no answer: leave it out of the sequence")
        place = _YES if liked else _NO
        return self.answered(
            self._prompt(history, self.item_of(item), self.writers[frame]),
            (self._answers[place],),
            event=len(history),
            targets=(place,),
            options=(self._options,),
            after=self._after,
        )

    def scores(
        self,
        model: nn.Module,
        histories: Sequence[Sequence[int]],
        *,
        candidates: Sequence[Sequence[int]] | None = None,
        token_budget: int = 8192,
    ) -> Tensor:
        """Log-odds of yes for each candidate, or the logit of yes (see `read`); -inf for all other items.

        The sigmoid of the log-odds is P(yes). Where the candidates' prompts have a common beginning, it is read once.

        Raises:
            DataError: no candidates, or an item outside the catalogue.
        """
        if candidates is None:
            raise DataError("yes_no ranks candidates: name some, or use a retriever")
        scores = torch.full((len(histories), self.catalogue_size), -torch.inf)
        whole: list[tuple[int, int, list[int]]] = []
        for row, (history, chosen) in enumerate(zip(histories, candidates, strict=True)):
            items = list(dict.fromkeys(chosen))
            prompts = [self._prompt(history, item, self.serving) for item in items]
            shared = common_beginning(prompts) if len(prompts) > 1 else 0
            if shared >= _LEAST_SHARED and may_branch(model, max(map(len, prompts))):
                logits = last_logits(
                    model, prompts, shared, self._read, pad=self.pad_token, token_budget=token_budget
                )
                scores[row, items] = self._score(logits)
            else:
                whole += [(row, item, prompt) for item, prompt in zip(items, prompts, strict=True)]
        for batch in by_token_budget([len(prompt) for _, _, prompt in whole], token_budget):
            prompts = [whole[index][2] for index in batch]
            windows = [Window(own, (0,), (len(own) - 1,), (0,), (self._options_read,)) for own in prompts]
            with torch.inference_mode():
                logits = choice_logits(model, batch_of(windows, self.pad_token))[:, 0].cpu()
            for index, score in zip(batch, self._score(logits).tolist(), strict=True):
                row, item, _ = whole[index]
                scores[row, item] = score
        return scores

    def questions(self, history: Sequence[int], candidates: Sequence[int] | None) -> list[Question]:
        """One for each candidate, about no and yes.

        Raises:
            DataError: no candidates, or an item outside the catalogue.
        """
        if candidates is None:
            raise DataError("yes_no ranks candidates: name some, or use a retriever")
        return [Question(tuple(self._prompt(history, item, self.serving)), self._read) for item in candidates]

    def answered_scores(self, answers: Sequence[Sequence[float]]) -> list[float]:
        """The log-odds of yes against no."""
        return [answer[_YES] - answer[_NO] for answer in answers]

    def prompt_tokens(self, history: Sequence[int]) -> int:
        """From the titles' lengths, with as many average candidates as a request may name."""
        lengths = self.writer.title_lengths
        mean = sum(lengths) / len(lengths) + 4
        latest = self._rated(history)[-self.history :]
        own = sum(lengths[self.item_of(event)] + 4 for event in latest)
        prompt = min(self.writer.max_tokens, self.serving.frame_tokens + own)
        return round(prompt + mean * self.candidates)

    def to_json(self) -> dict[str, Any]:
        """Schema 2 of `style.json`."""
        return {
            **self.text_to_json(),
            "labels": list(self.labels),
            "labels_read": self.labels_read,
            "liked": {"field": "rating", "above": self.above},
            "read": self.read,
            "answer_end": self.answer_end,
            "candidates": self.most_candidates,
        }

    @classmethod
    def from_json(
        cls, content: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast, titles: Sequence[str]
    ) -> YesNoStyle:
        """Read the output of `to_json`.

        Raises:
            ConfigError: a key is missing, unknown or not valid.
        """
        labels = two_texts(content, "labels", ("No", "Yes"), "for no and for yes")
        end = content.get("answer_end", "")
        if not isinstance(end, str):
            raise ConfigError("answer_end must be a text")
        fields = read_text_fields(
            content,
            cls.name,
            tokenizer,
            titles,
            own_keys=_KEYS,
            max_tokens=1024,
            answer_tokens=1 + len(tokenizer(end, add_special_tokens=False).input_ids),
            rated=True,
        )
        return cls(
            **fields,
            labels=labels,
            above=_above(content.get("liked")),
            labels_read=one_of(content, "labels_read", ("in_context", "alone"), "in_context"),
            read=one_of(content, "read", ("softmax", "yes_logit"), "softmax"),
            answer_end=end,
            most_candidates=whole_number(content, "candidates", _CANDIDATES, 1),
        )

    @cached_property
    def _answers(self) -> tuple[int, int]:
        """The token of each label where the answer stands, as it was trained: the same one in every frame."""
        no, yes = (single_token(label, self._continued(label)) for label in self.labels)
        return no, yes

    @cached_property
    def _after(self) -> tuple[int, ...]:
        """The tokens behind an answer."""
        if not self.answer_end:
            return ()
        no, yes = (tuple(self._continued(label + self.answer_end)) for label in self.labels)
        if (no[0], yes[0]) != self._answers or no[1:] != yes[1:]:
            raise ConfigError(f"answer_end {self.answer_end!r} merges with a label before it")
        return yes[1:]

    @cached_property
    def _read(self) -> tuple[int, int]:
        """The token of each label whose logit is read to rank."""
        if self.labels_read == "in_context":
            return self._answers
        encode = self.writer.tokenizer
        no, yes = (
            single_token(label, list(encode(label, add_special_tokens=False).input_ids), "alone")
            for label in self.labels
        )
        return no, yes

    @cached_property
    def _options(self) -> OptionSet:
        return OptionSet(self._answers)

    @cached_property
    def _options_read(self) -> OptionSet:
        return OptionSet(self._read)

    def _continued(self, answer: str) -> list[int]:
        found, *others = (writer.continued([], self._target(0, writer), answer) for writer in self.writers)
        if any(own != found for own in others):
            raise ConfigError("labels are other tokens in one frame than in another: end the frames alike")
        return found

    def _score(self, logits: Tensor) -> Tensor:
        """One score for each row of logits of no and yes."""
        return logits[:, _YES] - logits[:, _NO] if self.read == "softmax" else logits[:, _YES]

    def _prompt(self, history: Sequence[int], item: int, writer: PromptWriter) -> list[int]:
        self._refuse_unknown(history)
        if not 0 <= item < self.catalogue_size:
            raise DataError(f"a candidate is outside the catalogue of {self.catalogue_size}")
        return writer.prompt(self._past(history, writer), self._target(item, writer))

    @staticmethod
    def _target(item: int, writer: PromptWriter) -> dict[str, list[dict[str, object]]]:
        slot = writer.frame.slot("target")
        assert slot is not None
        return {"target": [{"title": writer.title(item, slot)}]}

    def _past(self, history: Sequence[int], writer: PromptWriter) -> list[dict[str, object]]:
        """The fields of the latest rated items, oldest first; numbers count within each list."""
        slots = {slot.key: slot for slot in writer.frame.histories}
        counts = Counter[str]()
        found: list[dict[str, object]] = []
        for event in self._rated(history)[-writer.frame.histories[0].most :]:
            where = "liked" if self.liked(event) else "disliked"
            # A history that is one list numbers all of its items; one of liked items alone leaves the others out.
            slot = slots.get("history") or slots.get(where)
            if slot is not None:
                counts[slot.key] += 1
                title = writer.title(self.item_of(event), slot)
                found.append({"n": counts[slot.key], "title": title, "where": where})
        return found

    def _rated(self, history: Sequence[int]) -> list[int]:
        """The rated events, each item once, at its first one, as sequences hold them."""
        first: dict[int, int] = {}
        for event in history:
            if self.liked(event) is not None:
                first.setdefault(self.item_of(event), event)
        return list(first.values())

    def _refuse_unknown(self, sequence: Sequence[int]) -> None:
        if sequence and not 0 <= min(sequence) <= max(sequence) < self.event_kinds:
            raise DataError(f"a sequence holds an event of no item in the catalogue of {self.catalogue_size}")


def _above(content: Any) -> float:
    if not isinstance(content, dict) or set(content) != {"field", "above"} or content["field"] != "rating":
        raise ConfigError('yes_no needs `liked`: {"field": "rating", "above": a number}')
    above = content["above"]
    if type(above) not in (int, float) or not math.isfinite(above):
        raise ConfigError(f"liked.above must be a finite number, got {above!r}")
    return float(above)
