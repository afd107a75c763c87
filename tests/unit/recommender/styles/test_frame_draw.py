"""Several frames: training draws one of them, the first one measures, and the owner says which one serves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from recommender import Catalogue, ConfigError
from recommender.styles.files import read_style, save_style
from recommender.text_base import (
    balanced_index,
    letters_style,
    semantic_ids_style,
    train_tokenizer,
    yes_no_style,
)

ITEMS = 12
CATALOGUE = Catalogue(
    tuple(f"i{item}" for item in range(ITEMS)), tuple(f"Title {item}" for item in range(ITEMS))
)
ANSWER: dict[str, Any] = {"slot": "answer"}


def frames(*segments: dict[str, Any], end: str = "\n") -> list[list[dict[str, Any]]]:
    """Two frames that differ in their first word."""
    return [[{"text": f"{word}: "}, *segments, {"text": end}, ANSWER] for word in ("First", "Second")]


LETTERS = frames(
    {"slot": "history", "item": "{title}", "sep": ", "},
    {"text": "\n"},
    {"slot": "candidates", "item": "{label} {title}", "sep": ", "},
)
SIDS = frames({"slot": "history", "item": "{sid}", "sep": ", "})
YES_NO = frames(
    {"slot": "history", "where": "liked", "item": "{title}", "sep": ", "},
    {"text": "; "},
    {"slot": "target", "item": "{title}"},
)


def letters(**changes: Any) -> Any:
    return letters_style(CATALOGUE, labels="ABC", draws=1, **{"frames": LETTERS, **changes})


def sids(**changes: Any) -> Any:
    index = balanced_index(CATALOGUE, tastes=2, collisions=0)
    return semantic_ids_style(CATALOGUE, index, **{"frames": SIDS, **changes})


def yes_no(**changes: Any) -> Any:
    return yes_no_style(CATALOGUE, **{"frames": YES_NO, "first_target": 1, **changes})


STYLES = pytest.mark.parametrize("make", [letters, sids, yes_no])


def sequence_of(style: Any) -> list[int]:
    return [style.event(item, 5.0) for item in range(10)]


def words(style: Any, draw: int) -> list[str]:
    windows = style.windows(sequence_of(style), draw=draw)
    return [style.decode(window.tokens).removeprefix("<s>").split(":")[0].strip() for window in windows]


@STYLES
def test_training_draws_frames_and_the_first_one_measures(make: Callable[..., Any]) -> None:
    style = make(frame_draw="random")
    assert (style.frames, style.redraws) == (2, True)
    for draw in (-2, -1, 0):
        assert set(words(style, draw)) == {"First"}
    assert set(words(style, 1)) == {"First", "Second"}
    assert words(style, 1) == words(style, 1) != words(style, 2)


@STYLES
def test_ranking_is_in_the_frame_that_serves(make: Callable[..., Any]) -> None:
    style = make(serve_frame=1)
    assert set(words(style, 3)) == {"First"}
    # The second frame alone.
    alone = replace(style, writer=style.writers[1], others=(), serve_frame=0)
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=style.vocab_size, pad_token_id=0, **shape)).eval()
    history, candidates = sequence_of(style)[:3], [[4, 7]]
    found, expected, first = (
        one.scores(model, [history], candidates=candidates)
        for one in (style, alone, replace(style, serve_frame=0))
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found[:, [4, 7]], first[:, [4, 7]], rtol=1e-4, atol=1e-5)


@STYLES
def test_a_folder_gives_back_the_frames(make: Callable[..., Any], tmp_path: Path) -> None:
    style = make(frame_draw="random", serve_frame=1)
    save_style(style, tmp_path)
    written = json.loads((tmp_path / "style.json").read_text())
    assert (len(written["frames"]), written["frame_draw"], written["serve_frame"]) == (2, "random", 1)
    assert read_style(tmp_path, CATALOGUE).to_json() == style.to_json()


@STYLES
def test_frames_that_cannot_be_used(make: Callable[..., Any]) -> None:
    for changes, said in (
        ({}, "only the first is used"),
        ({"serve_frame": 2}, "serve_frame must be the place of a frame"),
        ({"serve_frame": True}, "serve_frame must be the place of a frame"),
        ({"frame_draw": "often"}, "frame_draw must be one of first, random"),
    ):
        with pytest.raises(ConfigError, match=said):
            make(**changes)


def test_every_frame_must_end_where_a_label_begins() -> None:
    style = yes_no(frame_draw="random")
    tokenizer = train_tokenizer([*CATALOGUE.titles, *["Yes", "No", " Yes", " No"] * 2])
    # After this frame's last space, the space and the label are one token.
    spaced = [*YES_NO[1][:-2], {"text": "\nIs it? "}, ANSWER]
    content = {**style.to_json(), "frames": [YES_NO[0], spaced]}
    with pytest.raises(ConfigError, match="'No' merges with the last tokens of the prompt"):
        type(style).from_json(content, tokenizer, CATALOGUE.titles)
    assert type(style).from_json(style.to_json(), tokenizer, CATALOGUE.titles).frames == 2
