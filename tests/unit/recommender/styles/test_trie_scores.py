"""All scores equal one forward per item, and the best few equal the sorted scores."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from recommender import ConfigError, DataError, Scorer, TrainingConfig, ranks, top_k
from recommender.styles import SemanticIdsStyle
from recommender.styles.prompt_cache import PromptCache, check_attention
from recommender.styles.trie_scores import catalogue_scores
from recommender.training import train
from tests.unit.recommender.styles.semantic_world import histories, one_by_one, style_of

TRAINING = TrainingConfig(epochs=8, batch_size=8, lr=2e-2, patience=None, seed=1)
# Of different lengths: none, longer than the prompt's slot, and in between.
ASKED = [[], [3], [8, 1, 5, 2, 9, 12], [4, 0, 7]]


def trained(style: SemanticIdsStyle, *, epochs: int = 8) -> LlamaForCausalLM:
    """Two layers, two heads of attention for each of keys and values."""
    config = LlamaConfig(
        vocab_size=style.vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        pad_token_id=style.pad_token,
        use_cache=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        train(model, style, histories(12, seed=0), replace(TRAINING, epochs=epochs))
    return model


@pytest.fixture(scope="module")
def style() -> SemanticIdsStyle:
    return style_of()


@pytest.fixture(scope="module")
def model(style: SemanticIdsStyle) -> LlamaForCausalLM:
    return trained(style)


@pytest.mark.parametrize("score", ["vocabulary", "children"])
def test_scores_equal_a_forward_per_item(style: SemanticIdsStyle, model: LlamaForCausalLM, score: Any):
    style = replace(style, score=score)
    expected = torch.stack([one_by_one(model, style, history) for history in ASKED])
    found = style.scores(model, ASKED)
    assert found.shape == (4, style.catalogue_size)
    assert float((found - expected).abs().max()) < 1e-5
    # The model has learnt something, so that equality says something.
    assert float(expected.std(1).min()) > 0.3
    if score == "children":
        first = torch.tensor([not place for place in style.trie.places.tolist()])
        assert float(found[:, first].logsumexp(1).abs().max()) < 1e-5


@pytest.mark.parametrize("levels", [2, 4])
def test_chunks_of_any_size_give_the_same(levels: int):
    style = style_of(levels=levels)
    model = trained(style, epochs=2)
    expected = torch.stack([one_by_one(model, style, history) for history in ASKED])
    for chunk in (2, 1000):
        found = catalogue_scores(
            model,
            style.trie,
            [style.writer.prompt(style.writer.past(history), {}) for history in ASKED],
            score="vocabulary",
            pad=style.pad_token,
            token_budget=4000,
            chunk=chunk,
        )
        assert float((found - expected).abs().max()) < 1e-5


def test_all_items_take_as_many_forwards_as_tuples_have_tokens(
    style: SemanticIdsStyle, model: LlamaForCausalLM
):
    shapes: list[tuple[int, ...]] = []
    handle = model.model.register_forward_pre_hook(
        lambda _, __, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    with handle:
        style.scores(model, ASKED)
    levels = [len(level) for level in style.trie.levels]
    assert len(shapes) == style.trie.depth == 3
    assert [shape[1] for shape in shapes[1:]] == levels[:-1]
    assert all(shape[0] == len(ASKED) for shape in shapes)


def test_a_small_budget_gives_the_same_scores(style: SemanticIdsStyle, model: LlamaForCausalLM):
    torch.testing.assert_close(
        style.scores(model, ASKED, token_budget=1), style.scores(model, ASKED), atol=1e-5, rtol=0
    )


def test_eager_attention_gives_the_same(style: SemanticIdsStyle, model: LlamaForCausalLM):
    eager = LlamaForCausalLM._from_config(model.config, attn_implementation="eager").eval()
    eager.load_state_dict(model.state_dict())
    torch.testing.assert_close(style.scores(eager, ASKED), style.scores(model, ASKED), atol=1e-5, rtol=0)


def test_items_that_share_a_tuple_follow_each_other_in_their_order(
    style: SemanticIdsStyle, model: LlamaForCausalLM
):
    popular = replace(style, collisions="popularity", popularity=tuple(range(style.catalogue_size)))
    scores, other = style.scores(model, [[3]])[0], popular.scores(model, [[3]])[0]
    shared = [items for items in style.trie.items_of if len(items) > 1]
    assert len(shared) == 2
    for first, second in shared:
        assert scores[first] > scores[second]
        assert other[second] > other[first]
        assert float(scores[first] - scores[second]) < 1e-5
        assert (
            int(ranks(scores[None], torch.tensor([second])))
            == int(ranks(scores[None], torch.tensor([first]))) + 1
        )


@pytest.mark.parametrize("score", ["vocabulary", "children"])
@pytest.mark.parametrize("history", ASKED)
def test_the_best_few_are_the_head_of_all_scores(
    style: SemanticIdsStyle, model: LlamaForCausalLM, score: Any, history: list[int]
):
    style = replace(style, score=score)
    scores = style.scores(model, [history])
    scores[0, history] = -torch.inf
    for k in (1, 3, 10):
        best = style.top_k(model, history, k, set(history))
        expected = top_k(scores, k)[0]
        assert best.exact
        assert list(best.items) == expected.tolist()
        assert best.scores == pytest.approx(scores[0, expected].tolist(), abs=1e-5)
        assert best.nodes <= style.trie.fed


def test_more_than_there_are_gives_all_unseen_items(style: SemanticIdsStyle, model: LlamaForCausalLM):
    best = style.top_k(model, [3, 4], 100, {3, 4})
    assert sorted(best.items) == [item for item in range(style.catalogue_size) if item not in {3, 4}]
    assert best.exact
    assert best.nodes == style.trie.fed


def test_search_reads_less_than_the_whole_trie(
    style: SemanticIdsStyle, model: LlamaForCausalLM, monkeypatch: Any
):
    monkeypatch.setattr("recommender.styles.trie_scores._AT_ONCE", 1)
    best = style.top_k(model, [3, 7], 1)
    assert best.exact
    assert best.nodes < style.trie.fed
    assert best.items == tuple(top_k(style.scores(model, [[3, 7]]), 1)[0].tolist())


def test_a_search_that_hits_the_cap_says_so(style: SemanticIdsStyle, model: LlamaForCausalLM):
    best = style.top_k(model, [3], 20, most_nodes=5)
    assert not best.exact
    assert best.nodes == 5


def test_serving_searches_where_the_trie_is_large_and_sorts_all_scores_where_that_is_no_use(
    style: SemanticIdsStyle, model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
):
    scorer = Scorer(model, style)
    named = [None, None, [7, 8, 1, 3], None]
    expected = scorer.best(ASKED, [3, 5, 2, 4], named)
    assert style.best(model, ASKED[1], 5, ASKED[1]) is None
    monkeypatch.setattr("recommender.styles.semantic_ids._FEW_NODES", 2)
    assert style.best(model, ASKED[1], 1, ASKED[1]) is not None
    # Here the search would read more than half of the trie.
    assert style.best(model, ASKED[1], 20, ASKED[1]) is None
    found = scorer.best(ASKED, [3, 5, 2, 4], named)
    assert [[item for item, _ in items] for items in found] == [
        [item for item, _ in items] for items in expected
    ]
    assert [len(items) for items in found] == [3, 5, 2, 4]
    for ours, theirs in zip(found, expected, strict=True):
        assert [score for _, score in ours] == pytest.approx([score for _, score in theirs], abs=1e-5)


def test_a_torn_model_is_never_searched(
    style: SemanticIdsStyle, model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("recommender.styles.semantic_ids._FEW_NODES", 2)
    torn = copy.deepcopy(model)
    torn.lm_head.weight.data.fill_(torch.nan)
    assert not style.top_k(torn, [3], 2).exact
    assert any(math.isnan(score) for _, score in Scorer(torn, style).best([[3]], [2])[0])


def test_candidates_and_bad_input(style: SemanticIdsStyle, model: LlamaForCausalLM):
    scores = style.scores(model, [[3]], candidates=[[1, 2]])
    assert torch.isfinite(scores[0]).nonzero().flatten().tolist() == [1, 2]
    with pytest.raises(DataError, match="outside the catalogue of 26"):
        style.scores(model, [[26]])
    with pytest.raises(DataError, match="k must be at least 1, got 0"):
        style.top_k(model, [3], 0)


def test_the_cache_keeps_what_was_not_dropped(style: SemanticIdsStyle, model: LlamaForCausalLM):
    with torch.inference_mode():
        cache = PromptCache(model, [[4, 5], [4]], style.pad_token, longest=2)
        tokens, nothing = torch.tensor([6, 7]), torch.zeros(2, 0, dtype=torch.bool)
        first = cache.feed(tokens, torch.ones(2, dtype=torch.int64), nothing)
        cache.drop(2)
        assert cache.kept == 0
        torch.testing.assert_close(cache.feed(tokens, torch.ones(2, dtype=torch.int64), nothing), first)
    assert (cache.rows, cache.kept, cache.forwards, cache.nodes) == (2, 2, 3, 4)


def test_attention_that_cannot_see_a_tree_is_refused(model: LlamaForCausalLM):
    bad = [
        ({"attn_implementation": "flash_attention_2"}, r"sdpa or eager attention, not 'flash_attention_2'"),
        (
            {"layer_types": ["full_attention", "linear_attention"]},
            r"every layer, but the model has linear_attention",
        ),
        ({"sliding_window": 8}, r"reaches 8 tokens back, but prompt and item take 9"),
    ]
    for changes, message in bad:
        broken = LlamaForCausalLM(model.config)
        broken.config = LlamaConfig(**{**model.config.to_dict(), "attn_implementation": "sdpa", **changes})
        with pytest.raises(ConfigError, match=message):
            check_attention(broken, 9)
    check_attention(model, 9)


@pytest.mark.parametrize("few_nodes", [2, 10**6], ids=["searched", "scored"])
def test_what_is_left_out_is_not_ranked_by_a_search_nor_by_scoring_all_items(
    style: SemanticIdsStyle, model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch, few_nodes: int
):
    monkeypatch.setattr("recommender.styles.semantic_ids._FEW_NODES", few_nodes)
    scorer = Scorer(model, style)
    (before,) = scorer.best([ASKED[1]], [4])
    (after,) = scorer.best([ASKED[1]], [3], left_out=[{before[0][0]}])
    assert [item for item, _ in after] == [item for item, _ in before[1:]]
