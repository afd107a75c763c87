"""A model that only answers questions ranks as the model itself does, in every style that can be asked so."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from recommender import (
    AskedScorer,
    Base,
    Catalogue,
    ConfigError,
    DataError,
    ItemTokenStyle,
    PromptStyle,
    Question,
    Scorer,
    canary_fingerprint,
    fingerprints_match,
    read_base_files,
)
from recommender.text_base import balanced_index, letters_style, semantic_ids_style, yes_no_style

CATALOGUE = Catalogue(tuple(f"i{item}" for item in range(12)), tuple(f"Title {item}" for item in range(12)))
STYLES = {
    "item_tokens": ItemTokenStyle(12, window=5),
    "letters": letters_style(CATALOGUE, labels="ABCDEF"),
    "yes_no": yes_no_style(CATALOGUE, candidates=6),
}


def model_for(style: PromptStyle) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=style.vocab_size, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=512, initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(4)
    return LlamaForCausalLM(config).eval()


def answers_of(model: LlamaForCausalLM, questions: Sequence[Question]) -> list[list[float]]:
    """What a server would say: one forward pass for each question, over its whole vocabulary."""
    found = []
    for question in questions:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([question.prompt])).logits[0, -1].float()
        log_probs = torch.log_softmax(logits, dim=-1)
        found.append([float(log_probs[token]) for token in question.options])
    return found


@pytest.mark.parametrize("name", STYLES)
def test_it_ranks_as_the_model_itself_and_has_its_fingerprint(name: str) -> None:
    style = STYLES[name]
    model = model_for(style)
    asked = AskedScorer(style, lambda questions: answers_of(model, questions))
    itself = Scorer(model, style)
    histories = [[style.event(item, 5.0) for item in items] for items in ([0, 3], [7, 1, 2, 9, 4, 11], [])]
    candidates = [[5, 2, 8, 10], [0, 6], [3, 1, 7, 4, 9, 11]]
    ours, theirs = (scorer.best(histories, [3, 2, 6], candidates) for scorer in (asked, itself))
    assert [[item for item, _ in row] for row in ours] == [[item for item, _ in row] for row in theirs]
    assert [len(row) for row in ours] == [3, 2, 6]
    first, second = canary_fingerprint(asked), canary_fingerprint(itself)
    assert fingerprints_match(first, second, 1e-4)
    if style.candidates is None:
        ours, theirs = (scorer.best(histories, [12, 12, 12]) for scorer in (asked, itself))
        assert [[item for item, _ in row] for row in ours] == [[item for item, _ in row] for row in theirs]
        assert [len(row) for row in ours] == [10, 6, 12]


def test_all_questions_of_a_batch_are_put_together_and_none_for_no_candidates() -> None:
    style = STYLES["yes_no"]
    put: list[int] = []

    def ask(questions: Sequence[Question]) -> list[list[float]]:
        put.append(len(questions))
        return [[0.0, float(place)] for place in range(len(questions))]

    scorer = AskedScorer(style, ask)
    found = scorer.best([[2], [5], [8]], [2, 2, 2], [[4, 6], [], [9]])
    assert put == [3]
    assert found == [[(6, 1.0), (4, 0.0)], [], [(9, 2.0)]]
    assert scorer.best([], []) == []
    for name in ("letters", "yes_no"):
        with pytest.raises(DataError, match="name some"):
            AskedScorer(STYLES[name], ask).best([[2]], [2])


def test_what_takes_several_steps_or_compares_logits_of_several_prompts_is_refused() -> None:
    index = balanced_index(CATALOGUE, tastes=3)
    with pytest.raises(ConfigError, match="semantic_ids take several steps"):
        AskedScorer(semantic_ids_style(CATALOGUE, index), lambda _: [])
    with pytest.raises(ConfigError, match='use "softmax"'):
        AskedScorer(yes_no_style(CATALOGUE, read="yes_logit"), lambda _: [])


def test_a_base_without_its_weights_is_the_same_base(base: Base, base_folder: Path) -> None:
    files = read_base_files(base_folder)
    assert (files.digest, files.catalogue, files.style) == (base.digest, base.catalogue, base.style)
    assert files.catalogue_digest == base.catalogue_digest
    assert files.single
