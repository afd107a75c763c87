"""A small language model that reads titles: a tokenizer of our own and a Llama, for the example, tests and benchmarks.

Whoever runs this on their own users brings a pretrained model instead.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from recommender.binding import draw_binding_heads
from recommender.catalogue import Catalogue
from recommender.errors import ConfigError
from recommender.llama_shape import LlamaShape
from recommender.styles.letters import LettersStyle
from recommender.styles.semantic_ids import SemanticIdsStyle
from recommender.styles.style import PromptStyle
from recommender.styles.yes_no import YesNoStyle
from recommender.training import OnStep, ShouldStop, TrainingConfig, train

_PAD, _BOS, _EOS = "<pad>", "<s>", "</s>"
_VOCABULARY = 2000
_LONGEST = 2048
# Most channels of a narrow head should say what a token is, not where it is.
_SLOW_ROTATIONS = 1e6

# A frame in the manner of the instruction-tuned recommenders that read titles, in our own words.
LETTERS: dict[str, Any] = {
    "schema": 2,
    "style": "letters",
    "max_tokens": 1024,
    "frames": [
        [
            {"text": "A person watched, in this order:\n"},
            {"slot": "history", "item": "{n}. {title}", "sep": "\n", "max": 20, "title_tokens": 32},
            {"text": "\nOne of these comes next:\n"},
            {"slot": "candidates", "item": "({label}) {title}", "sep": "\n", "title_tokens": 32},
            {"text": "\nThe next one is:\n"},
            {"slot": "answer"},
        ]
    ],
    "labels": "ABCDEFGHIJKLMNOPQRST",
}

# The same with nothing but what is needed, for titles that are one token each: a prompt of 20 items has 35 tokens.
SHORT_LETTERS: dict[str, Any] = {
    "schema": 2,
    "style": "letters",
    "max_tokens": 64,
    "frames": [
        [
            {"slot": "history", "item": "{title}", "sep": "\n", "max": 10},
            {"text": "\n?\n"},
            {"slot": "candidates", "item": "{label} {title}", "sep": "\n"},
            {"text": "\n="},
            {"slot": "answer"},
        ]
    ],
    "labels": "ABCDEFGHIJ",
    "supervise": "answer",
}

SEMANTIC_IDS: dict[str, Any] = {
    "schema": 2,
    "style": "semantic_ids",
    "max_tokens": 512,
    "frames": [
        [
            {"text": "A person watched, in this order:\n"},
            {"slot": "history", "item": "{sid}", "sep": ", ", "max": 20},
            {"text": "\nThe next one is:\n"},
            {"slot": "answer"},
        ]
    ],
    "collisions": "index",
}

YES_NO: dict[str, Any] = {
    "schema": 2,
    "style": "yes_no",
    "max_tokens": 1024,
    "frames": [
        [
            {"text": "A person liked: "},
            {
                "slot": "history",
                "where": "liked",
                "item": '"{title}"',
                "sep": ", ",
                "max": 10,
                "title_tokens": 32,
            },
            {"text": "\nand did not like: "},
            {
                "slot": "history",
                "where": "disliked",
                "item": '"{title}"',
                "sep": ", ",
                "max": 10,
                "title_tokens": 32,
            },
            {"text": "\nWill they like this one? "},
            {"slot": "target", "item": '"{title}"', "title_tokens": 32},
            {"text": "\nAnswer:\n"},
            {"slot": "answer"},
        ]
    ],
    "labels": ["No", "Yes"],
    "liked": {"field": "rating", "above": 3},
    "first_target": 10,
}


@dataclass(frozen=True)
class TextBaseConfig(LlamaShape):
    """Shape of a small Llama that reads text."""

    heads: int = 4
    feed_forward: int = 128


def train_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE with the tokens `<pad>`, `<s>` (at the start) and `</s>`; the same texts give the same one."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=_VOCABULARY,
            special_tokens=[_PAD, _BOS, _EOS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # not annotated upstream
        tokenizer_object=tokenizer, pad_token=_PAD, bos_token=_BOS, eos_token=_EOS
    )


def _texts(content: dict[str, Any]) -> list[str]:
    return [segment["text"] for frame in content["frames"] for segment in frame if "text" in segment]


def letters_style(catalogue: Catalogue, **changes: Any) -> LettersStyle:
    """The example's letters over this catalogue, with a tokenizer that is trained on its titles and its frame."""
    content = {**LETTERS, **changes}
    tokenizer = train_tokenizer([*catalogue.titles, *_texts(content)])
    return LettersStyle.from_json(content, tokenizer, catalogue.titles)


def short_letters_style(catalogue: Catalogue, **changes: Any) -> LettersStyle:
    """Letters over this catalogue, with a tokenizer in which each title is one token, the white space around it too."""
    content = {**SHORT_LETTERS, **changes}
    tokenizer = train_tokenizer([*_texts(content), content["labels"]])
    titles = dict.fromkeys(catalogue.titles)
    tokenizer.add_tokens([AddedToken(title, lstrip=True, rstrip=True, normalized=False) for title in titles])
    return LettersStyle.from_json(content, tokenizer, catalogue.titles)


def yes_no_style(catalogue: Catalogue, **changes: Any) -> YesNoStyle:
    """The example's yes and no over this catalogue, with a tokenizer of its titles, its frame and its labels."""
    content = {**YES_NO, **changes}
    # Often enough that each label becomes one token.
    tokenizer = train_tokenizer([*catalogue.titles, *_texts(content), *content["labels"] * 2])
    return YesNoStyle.from_json(content, tokenizer, catalogue.titles)


def semantic_ids_style(catalogue: Catalogue, index: dict[str, list[str]], **changes: Any) -> SemanticIdsStyle:
    """The example's semantic ids over this catalogue; the tokens of `index` are added to a tokenizer of its texts."""
    content = {**SEMANTIC_IDS, **changes}
    tokenizer = train_tokenizer([*catalogue.titles, *_texts(content)])
    tokenizer.add_tokens(sorted({token for own in index.values() for token in own}))
    return SemanticIdsStyle.from_json(content, tokenizer, catalogue, index)


def balanced_index(
    catalogue: Catalogue, *, tastes: int, levels: int = 3, collisions: int = 2, seed: int = 0
) -> dict[str, list[str]]:
    """An index as a quantiser of `generate_synthetic`'s titles might make it: {item id: one token for each level}.

    The first token is the taste; the others are the digits of the item's place in its taste, shuffled with `seed`. The
    lowest digit comes first, so that all prefixes have about as many items. In each of the first `collisions` tastes,
    two items share one tuple.

    Raises:
        ConfigError: fewer than two levels, fewer tastes than collisions, or a taste with fewer than two items.
    """
    if levels < 2 or not 0 <= collisions <= tastes or len(catalogue) < 2 * tastes:
        raise ConfigError("an index needs two levels, a taste for each collision and two items in each taste")
    generator = random.Random(seed)
    index: dict[str, list[str]] = {}
    for taste in range(tastes):
        members = list(range(taste, len(catalogue), tastes))
        generator.shuffle(members)
        base = 2
        while base ** (levels - 1) < len(members):
            base += 1
        for place, item in enumerate(members):
            # The last of a taste takes the tuple of the first one.
            number = 0 if taste < collisions and place == len(members) - 1 else place
            digits = [number // base**power % base for power in range(levels - 1)]
            tokens = [f"<{chr(ord('b') + level)}_{digit}>" for level, digit in enumerate(digits)]
            index[catalogue.item_ids[item]] = [f"<a_{taste}>", *tokens]
    return {item_id: index[item_id] for item_id in catalogue.item_ids}


def build_letters_base(
    style: LettersStyle,
    panel_sequences: Sequence[Sequence[int]],
    config: TextBaseConfig = TextBaseConfig(),  # frozen
    training: TrainingConfig = TrainingConfig(epochs=4, lr=1e-3, batch_size=64, patience=None),  # noqa: B008  # frozen
    *,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> LlamaForCausalLM:
    """As `build_text_base`, from first weights that find the letter beside a title: see `recommender.binding`.

    Raises:
        ConfigError: the shape has no room for them.
        DataError: no sequence holds an item that the style predicts.
        Interrupted: `should_stop` answered yes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        rotations = {"rope_type": "default", "rope_theta": _SLOW_ROTATIONS}
        model = LlamaForCausalLM(config.llama(style, _LONGEST, rope_parameters=rotations))
        draw_binding_heads(model, style.answer_tokens)
        train(model, style, panel_sequences, training, on_step=on_step, should_stop=should_stop)
    return model


def build_text_base(
    style: PromptStyle,
    panel_sequences: Sequence[Sequence[int]],
    config: TextBaseConfig = TextBaseConfig(),  # frozen
    training: TrainingConfig = TrainingConfig(epochs=8, patience=None),  # noqa: B008  # frozen
    *,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> LlamaForCausalLM:
    """Train a new Llama to answer the prompts of a panel of users whom the service does not serve.

    Raises:
        DataError: no sequence holds an item that the style predicts.
        Interrupted: `should_stop` answered yes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        model = LlamaForCausalLM(config.llama(style, _LONGEST))
        train(model, style, panel_sequences, training, on_step=on_step, should_stop=should_stop)
    return model
