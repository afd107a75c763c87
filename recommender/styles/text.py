"""Text prompts: a tokenizer, a frame and its limits, from items to tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from recommender.errors import ConfigError, DataError, ModelLoadError
from recommender.styles.frames import Frame, Slot

Tokenise = Literal["whole", "pieces"]
Truncate = Literal["left", "history"]
Supervise = Literal["answer", "answer+eos", "all"]
FrameDraw = Literal["first", "random"]
FRAME_DRAW = ("first", "random")
TOKENISE, TRUNCATE, SUPERVISE = ("whole", "pieces"), ("left", "history"), ("answer", "answer+eos", "all")
# What `style.json` may say in every style of text.
_TEXT_KEYS = (
    "schema", "style", "frames", "frame_draw", "serve_frame", "max_tokens", "tokenise", "truncate", "supervise",
    "first_target", "pad_token",
)  # fmt: skip
# Files of a Hugging Face folder that decide how text becomes tokens; they belong to the base's digest.
TOKENIZER_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
)
# A tokenizer has at least one of them.
VOCABULARY_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


def load_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a folder; no code of the folder is run.

    Raises:
        ModelLoadError: there is none, or it cannot be read.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, use_fast=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelLoadError(f"{directory} has no tokenizer that we can read: {error}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelLoadError(
            f"{directory}: its tokenizer has no fast form (tokenizer.json); save it with `AutoTokenizer` first"
        )
    return tokenizer


@dataclass(frozen=True, eq=False)
class PromptWriter:
    """Writes prompts of one frame.

    Attributes:
        titles: of the catalogue, by index.
        max_tokens: longest window, answer included. Longer prompts lose tokens at the left, or whole items of the
            history from the oldest on, as `truncate` says.
        tokenise: the text as a `whole`, or segment by segment (`pieces`), as the owner's collator did.
        sids: each item's semantic id as text, by index; empty for a style that has none.
        answer_tokens: number of tokens of an answer, without the end of the sequence.
        rated: whether a history's items say whether they were liked, so that slots can show some `where`.

    Raises:
        ConfigError: the frame names `{sid}`, or says `where`, and items have none.
    """

    tokenizer: PreTrainedTokenizerFast
    frame: Frame
    titles: Sequence[str]
    max_tokens: int
    tokenise: Tokenise = "whole"
    truncate: Truncate = "left"
    sids: Sequence[str] = ()
    answer_tokens: int = 1
    rated: bool = False
    _cut: dict[tuple[int, int], str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        slots = self.frame.histories
        if any(slot.names("sid") for slot in slots) and not self.sids:
            raise ConfigError("the history names {sid}, but items of this style have no semantic ids")
        if any(slot.where for slot in slots) and not self.rated:
            raise ConfigError("the history says `where`, but this style knows nothing of who liked what")

    def first_items(self, count: int) -> PromptWriter:
        """The writer as it was when the catalogue had only its first `count` items.

        Raises:
            DataError: it has fewer.
        """
        if not 0 <= count <= len(self.titles):
            raise DataError(f"the catalogue has {len(self.titles)} items, not {count}")
        return replace(self, titles=self.titles[:count], sids=self.sids[:count])

    def past(self, history: Sequence[int]) -> list[dict[str, object]]:
        """The fields of the history's latest items, oldest first, as many as its slot takes."""
        slot = self.frame.slot("history")
        assert slot is not None
        return [
            {"n": n, "title": self.title(item, slot), "sid": self.sids[item] if self.sids else ""}
            for n, item in enumerate(history[-slot.most :], start=1)
        ]

    def title(self, item: int, slot: Slot) -> str:
        """An item's title, cut to the slot's number of tokens."""
        if slot.title_tokens is None:
            return self.titles[item]
        key = (item, slot.title_tokens)
        if key not in self._cut:
            tokens = self.tokenizer(self.titles[item], add_special_tokens=False).input_ids
            short = tokens[: slot.title_tokens]
            self._cut[key] = self.titles[item] if short == tokens else str(self.tokenizer.decode(short))
        return self._cut[key]

    def prompt(
        self, history: Sequence[Mapping[str, object]], others: Mapping[str, Sequence[Mapping[str, object]]]
    ) -> list[int]:
        """Tokens before the answer, room for `max_tokens` with it.

        Args:
            history: the fields of the history's items, oldest first; with `where` they say in which list each stands.
            others: the fields of the items of every other slot.
        """
        kept = list(history[-self.frame.histories[0].most :])
        room = self.max_tokens - self.answer_tokens - 1
        tokens = self._encode(self._written(kept, others))
        while len(tokens) > room and self.truncate == "history" and kept:
            kept = kept[1:]
            tokens = self._encode(self._written(kept, others))
        return tokens[-room:]

    def continued(
        self, history: Sequence[Mapping[str, object]], others: Mapping[str, Any], answer: str
    ) -> list[int]:
        """The tokens with which `answer` continues this prompt, as the model was trained to write it.

        Raises:
            ConfigError: the answer changes the prompt's own last tokens, so no position predicts it.
        """
        segments = self._written(history, others)
        before = self._encode(segments)
        if self.tokenise == "pieces":
            return list(self.tokenizer(answer, add_special_tokens=False).input_ids)
        after = self._encode([*segments[:-1], segments[-1] + answer])
        if after[: len(before)] != before:
            raise ConfigError(
                f"the answer {answer!r} merges with the last tokens of the prompt; "
                "end the frame's last text where a token ends"
            )
        return after[len(before) :]

    def _written(
        self, history: Sequence[Mapping[str, object]], others: Mapping[str, Sequence[Mapping[str, object]]]
    ) -> list[str]:
        lists = {
            slot.key: [one for one in history if slot.where is None or one["where"] == slot.where]
            for slot in self.frame.histories
        }
        return self.frame.write({**others, **lists})

    def _encode(self, segments: Sequence[str]) -> list[int]:
        texts = ["".join(segments)] if self.tokenise == "whole" else [text for text in segments if text]
        tokens: list[int] = []
        for number, text in enumerate(texts):
            tokens += self.tokenizer(text, add_special_tokens=number == 0).input_ids
            if number == 0 and tokens and tokens[-1] == self.tokenizer.eos_token_id:
                tokens.pop()
        return tokens

    @cached_property
    def title_lengths(self) -> list[int]:
        """About how many tokens each title has."""
        return [
            len(tokens) for tokens in self.tokenizer(list(self.titles), add_special_tokens=False).input_ids
        ]

    @cached_property
    def frame_tokens(self) -> int:
        """Number of tokens of the frame's texts."""
        texts = [segment for segment in self.frame.segments if isinstance(segment, str)]
        return sum(len(self.tokenizer(text, add_special_tokens=False).input_ids) for text in texts) + 1


def _read_frames(content: Mapping[str, Any], name: str) -> tuple[list[Frame], FrameDraw, int]:
    """The frames, which of them training draws, and the index of the one that serves.

    Raises:
        ConfigError: there is none, one is not valid, several are there and none but the first is used, or no frame has
            this index.
    """
    frames = content.get("frames")
    if not isinstance(frames, list) or not frames:
        raise ConfigError(f"{name} without `frames`: a list with one frame at least")
    drawn, serves = one_of(content, "frame_draw", FRAME_DRAW, "first"), content.get("serve_frame", 0)
    if type(serves) is not int or not 0 <= serves < len(frames):
        raise ConfigError(f"serve_frame must be the place of a frame, from 0 on, got {serves!r}")
    if len(frames) > 1 and drawn == "first" and not serves:
        raise ConfigError(
            'of several frames only the first is used: say "frame_draw": "random", or which is the serve_frame'
        )
    return [Frame.from_json(frame) for frame in frames], drawn, serves


def read_text_fields(
    content: Mapping[str, Any],
    name: str,
    tokenizer: PreTrainedTokenizerFast,
    titles: Sequence[str],
    *,
    own_keys: Sequence[str],
    max_tokens: int = 1536,
    **of_writers: Any,
) -> dict[str, Any]:
    """What a `style.json` says in every style of text, as the fields of `recommender.styles.text_style.TextStyle`.

    Args:
        own_keys: the keys that this style has besides.
        max_tokens: where the file does not say.
        of_writers: what else the style's prompt writers need.

    Raises:
        ConfigError: a key is missing, unknown or not valid.
    """
    refuse_unknown(content, (*_TEXT_KEYS, *own_keys))
    frames, frame_draw, serve_frame = _read_frames(content, name)
    pad = content.get("pad_token")
    if pad is not None and (type(pad) is not int or pad < 0):
        raise ConfigError(f"pad_token must be a token's number, got {pad!r}")
    writer, *others = (
        PromptWriter(
            tokenizer,
            frame,
            titles,
            whole_number(content, "max_tokens", max_tokens, 16),
            one_of(content, "tokenise", TOKENISE, "whole"),
            one_of(content, "truncate", TRUNCATE, "left"),
            **of_writers,
        )
        for frame in frames
    )
    return {
        "writer": writer,
        "others": tuple(others),
        "frame_draw": frame_draw,
        "serve_frame": serve_frame,
        "supervise": one_of(content, "supervise", SUPERVISE, "answer+eos"),
        "first_target": whole_number(content, "first_target", 1, 0),
        "pad": pad,
    }


def single_token(label: str, tokens: Sequence[int], where: str = "where the answer stands") -> int:
    """The token of a label.

    Raises:
        ConfigError: there are several.
    """
    if len(tokens) != 1:
        raise ConfigError(
            f"label {label!r} is {len(tokens)} tokens {where}, so no single logit is its own; "
            "choose other labels, or end the frame's last text differently"
        )
    return tokens[0]


def one_of(content: Mapping[str, Any], key: str, choices: Sequence[str], default: str) -> Any:
    """The value of `key`.

    Raises:
        ConfigError: it is none of `choices`.
    """
    value = content.get(key, default)
    if value not in choices:
        raise ConfigError(f"{key} must be one of {', '.join(choices)}, got {value!r}")
    return value


def two_texts(
    content: Mapping[str, Any], key: str, default: tuple[str, str], meaning: str
) -> tuple[str, str]:
    """Two texts.

    Raises:
        ConfigError: another value.
    """
    found = content.get(key, list(default))
    if not isinstance(found, list) or len(found) != 2 or not all(isinstance(one, str) for one in found):
        raise ConfigError(f"{key} must be a list of two texts, {meaning}")
    return found[0], found[1]


def whole_number(content: Mapping[str, Any], key: str, default: int, least: int) -> int:
    """The value of `key`.

    Raises:
        ConfigError: it is no whole number of at least `least`.
    """
    value = content.get(key, default)
    if type(value) is not int or value < least:
        raise ConfigError(f"{key} must be a whole number of at least {least}, got {value!r}")
    return value


def refuse_unknown(content: Mapping[str, Any], known: Sequence[str]) -> None:
    """
    Raises:
        ConfigError: `content` has other keys.
    """
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise ConfigError(f"unknown keys: {', '.join(unknown)}")
