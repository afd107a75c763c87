from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from recommender import (
    Catalogue,
    ConfigError,
    DataError,
    ModelLoadError,
    PromptStyle,
    base_digest,
    load_base,
    save_base,
)
from recommender.styles import SemanticIdsStyle
from recommender.styles.files import INDEX_FILE, POPULARITY_FILE, STYLE_FILE, read_style, save_style
from recommender.text_base import SEMANTIC_IDS, balanced_index, letters_style, semantic_ids_style
from tests.unit.recommender.styles.semantic_world import CATALOGUE, FRAME, TASTES, style_of

INDEX = balanced_index(CATALOGUE, tastes=TASTES)


def words(style: SemanticIdsStyle, tokens: Any) -> str:
    return str(style.writer.tokenizer.decode(list(tokens)))


def test_the_example_s_index_is_balanced_with_two_collisions():
    style: PromptStyle = style_of()
    assert style.event_options == len(CATALOGUE) - 2
    assert (style.candidates, style.draws, style.ranked_by, style.history) == (None, 1, "catalogue", 4)
    trie = style_of().trie
    assert [len(level) for level in trie.levels] == [4, 12, 24]
    shared = [items for items in trie.items_of if len(items) > 1]
    assert [{item % TASTES for item in items} for items in shared] == [{0}, {1}]
    assert (
        balanced_index(CATALOGUE, tastes=TASTES, seed=0)
        == INDEX
        != balanced_index(CATALOGUE, tastes=TASTES, seed=1)
    )


def test_windows_by_hand():
    style = style_of()
    first, second = style.windows([7, 2, 5])
    sid = ["".join(INDEX[f"i{item}"]) for item in (7, 2, 5)]
    assert words(style, first.tokens) == f"Met:{sid[0]}\n{sid[1]}</s>"
    assert words(style, second.tokens) == f"Met:{sid[0]} {sid[1]}\n{sid[2]}</s>"
    prompt = len(second.tokens) - 4
    assert list(second.positions) == [prompt - 1, prompt, prompt + 1]
    assert list(second.events) == [2, 2, 2]
    chosen = [options.tokens[place] for options, place in zip(second.options, second.targets, strict=True)]
    assert chosen == list(second.tokens[prompt : prompt + 3]) == list(style.paths[5])
    assert first.options[0] is second.options[0]


@pytest.mark.parametrize(
    ("supervise", "ends", "first", "last"),
    [("answer", "", -1, 2), ("answer+eos", "</s>", -1, 3), ("all", "</s>", None, 3)],
)
def test_what_the_owner_trained(supervise: str, ends: str, first: int | None, last: int):
    style = style_of(supervise=supervise)
    (window,) = style.windows([7, 2])
    prompt = window.positions[0] + 1
    assert words(style, window.tokens).endswith(ends)
    assert window.language == range(0 if first is None else prompt + first, prompt + last)


def test_events_before_the_first_target_have_no_window():
    assert [window.events[0] for window in style_of(first_target=2).windows([7, 2, 5, 1])] == [2, 3]


def test_a_history_may_show_titles_and_is_cut_to_its_latest_items():
    frame = [FRAME[0], {**FRAME[1], "item": "{n}. {title} {sid}", "max": 2}, *FRAME[2:]]
    style = style_of(frames=[frame])
    (window,) = list(style.windows([7, 2, 5, 1]))[-1:]
    sid = {item: "".join(INDEX[f"i{item}"]) for item in (2, 5, 1)}
    assert words(style, window.tokens) == f"Met:1. Title 2 {sid[2]} 2. Title 5 {sid[5]}\n{sid[1]}</s>"
    assert style.prompt_tokens([7, 2, 5]) > style.prompt_tokens([7]) > 0


def test_a_long_prompt_loses_whole_items_or_its_left():
    frame = [FRAME[0], {**FRAME[1], "max": 20}, *FRAME[2:]]
    kept, cut = (style_of(frames=[frame], max_tokens=16, truncate=way) for way in ("history", "left"))
    (whole,), (left,) = (list(style.windows(list(range(20))))[-1:] for style in (kept, cut))
    assert max(len(whole.tokens), len(left.tokens)) <= 16
    assert words(kept, whole.tokens).startswith("Met:<a_")
    assert not words(cut, left.tokens).startswith("Met:")
    assert list(left.tokens[-4:-1]) == list(cut.paths[19])


def test_items_outside_the_catalogue_are_refused():
    with pytest.raises(DataError, match="outside the catalogue of 26"):
        list(style_of().windows([3, 26]))


def test_a_saved_base_is_the_same_style_and_its_index_belongs_to_the_items(tmp_path: Path):
    style = style_of(score="children", supervise="all", first_target=2)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=style.vocab_size,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
        )
    )
    save_base(model, CATALOGUE, style, tmp_path)
    base = load_base(tmp_path)
    assert isinstance(base.style, SemanticIdsStyle)
    assert base.style.to_json() == style.to_json()
    assert base.style.index_json() == style.index_json() == INDEX
    assert [list(window.tokens) for window in base.style.windows([7, 2, 5])] == [
        list(window.tokens) for window in style.windows([7, 2, 5])
    ]
    index = {**INDEX, "i0": INDEX["i1"]}
    (tmp_path / INDEX_FILE).write_text(json.dumps(index))
    assert load_base(tmp_path).catalogue_digest != base.catalogue_digest
    assert base_digest(tmp_path) == base.digest


def test_popularity_orders_items_that_share_a_tuple(tmp_path: Path):
    save_style(style_of(), tmp_path)
    content = json.loads((tmp_path / STYLE_FILE).read_text())
    (tmp_path / STYLE_FILE).write_text(json.dumps({**content, "collisions": "popularity"}))
    with pytest.raises(ModelLoadError, match=r"needs popularity.json: how often each item was met"):
        read_style(tmp_path, CATALOGUE)
    (tmp_path / POPULARITY_FILE).write_text(json.dumps({f"i{item}": item for item in range(26)}))
    style = read_style(tmp_path, CATALOGUE)
    assert isinstance(style, SemanticIdsStyle)
    assert all(list(items) == sorted(items, reverse=True) for items in style.trie.items_of)
    save_style(style, tmp_path)
    assert json.loads((tmp_path / POPULARITY_FILE).read_text())["i25"] == 25
    (tmp_path / POPULARITY_FILE).write_text(json.dumps({"i3": -1}))
    with pytest.raises(ModelLoadError, match=r"popularity of item 'i3' must be a whole number, got -1"):
        read_style(tmp_path, CATALOGUE)


def test_a_folder_without_an_index_is_refused(tmp_path: Path):
    save_style(style_of(), tmp_path)
    (tmp_path / INDEX_FILE).unlink()
    with pytest.raises(ModelLoadError, match=r"semantic_ids need index.json"):
        read_style(tmp_path, CATALOGUE)


def read(index: dict[str, Any], **changes: Any) -> SemanticIdsStyle:
    style = style_of()
    return SemanticIdsStyle.from_json(
        {**style.to_json(), **changes}, style.writer.tokenizer, CATALOGUE, index
    )


WITHOUT = {key: value for key, value in INDEX.items() if key not in {"i4", "i9"}}


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (WITHOUT, r"no tokens for item 'i4' and 1 others of the catalogue"),
        ({**INDEX, "i4": ["<a_0>", "<b_0>"]}, r"item 'i0' has 3 tokens, but item 'i4' has 2"),
        (
            {**INDEX, "i4": ["<a_0>", "<b_0>", "<q_1>"]},
            r"'<q_1>' of item 'i4' is not one token of the tokenizer",
        ),
        ({**INDEX, "i4": "<a_0>"}, r"give item 'i4' a list of token strings, got '<a_0>'"),
        ({**INDEX, " i4": ["<a_0>", "<b_0>", "<c_0>"]}, r"lists item ' i4' twice, with different tokens"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(index: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        read(index)


def test_items_of_other_catalogues_are_passed_over():
    assert read({**INDEX, "unknown": ["<a_0>"]}).index_json() == INDEX


def frame(*segments: dict[str, Any]) -> dict[str, Any]:
    return {"frames": [[*segments, {"slot": "answer"}]]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"collisions": None}, r"items 'i\d+' and 'i\d+' share the tuple <a_\d>.*\"collisions\""),
        ({"collisions": "random"}, r"collisions must be one of popularity, index, got 'random'"),
        ({"score": "legal"}, r"score must be one of vocabulary, children, got 'legal'"),
        ({"supervise": "eos"}, r"supervise must be one of"),
        ({"tokens": 3}, r"unknown keys: tokens"),
        ({"frames": []}, "a list with one frame"),
        ({"max_tokens": 15}, r"max_tokens must be a whole number of at least 16"),
        (frame(FRAME[0], FRAME[1], {"slot": "candidates", "item": "{title}"}), r"has no slot for candidates"),
    ],
)
def test_a_style_file_that_does_not_fit_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        read(INDEX, **changes)


def test_an_answer_that_merges_with_the_prompt_is_refused():
    style = style_of()
    tokenizer = style.writer.tokenizer
    merged = {"i0": ["t"], "i1": ["e"]}
    with pytest.raises(ConfigError, match="merges with the last tokens of the prompt"):
        SemanticIdsStyle.from_json(
            {**style.to_json(), **frame(FRAME[1], {"text": "Me"}), "collisions": None},
            tokenizer,
            Catalogue(("i0", "i1"), ("Title", "Title 1")),
            merged,
        )


def test_letters_have_no_semantic_ids_to_show():
    segments = [FRAME[0], FRAME[1], {"slot": "candidates", "item": "{label} {title}"}, FRAME[2], FRAME[3]]
    with pytest.raises(ConfigError, match=r"names \{sid\}, but items of this style have no semantic ids"):
        letters_style(CATALOGUE, frames=[segments])


def test_a_balanced_index_needs_room():
    with pytest.raises(ConfigError, match="two levels, a taste for each collision"):
        balanced_index(CATALOGUE, tastes=4, levels=1)
    assert semantic_ids_style(CATALOGUE, balanced_index(CATALOGUE, tastes=2, levels=4)).trie.depth == 4


def test_the_documented_example_is_one() -> None:
    path = Path(__file__).parents[4] / "docs/examples/semantic_ids/style.json"
    assert json.loads(path.read_text()) == SEMANTIC_IDS
