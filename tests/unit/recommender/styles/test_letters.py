"""Letters: the prompt, the label tokens, what is read and what is trained, and every way to get it wrong."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import normalizers
from transformers import PreTrainedTokenizerFast

from recommender import (
    AdapterConfig,
    Base,
    Catalogue,
    ConfigError,
    DataError,
    ModelLoadError,
    Scorer,
    TrainingConfig,
    attach,
    canary_fingerprint,
    fit_adapter,
    load_base,
    save_base,
)
from recommender.choices import batch_of, choice_logits
from recommender.styles import LettersStyle
from recommender.text_base import LETTERS, letters_style

HISTORY = [3, 1, 4, 15, 9]


def text(style: LettersStyle, tokens: list[int]) -> str:
    return str(style.writer.tokenizer.decode(tokens))


def test_a_window_asks_for_the_letter_of_the_true_item(letters: LettersStyle, catalogue: Catalogue):
    windows = list(letters.windows(HISTORY, draw=0))
    assert [window.events for window in windows] == [(1,), (2,), (3,), (4,)]
    last = windows[-1]
    prompt = text(letters, list(last.tokens[: last.positions[0] + 1]))
    label = letters.labels[last.targets[0]]
    assert f"({label}) {catalogue.titles[HISTORY[-1]]}\n" in prompt
    for number, item in enumerate(HISTORY[:-1], start=1):
        assert f"{number}. {catalogue.titles[item]}\n" in prompt
    assert prompt.endswith("The next one is:\n")
    # The answer follows, and the end: both were trained over the whole vocabulary.
    assert text(letters, list(last.tokens[last.positions[0] + 1 :])) == f"{label}</s>"
    assert list(last.language) == [last.positions[0], last.positions[0] + 1]


def test_candidates_are_unmet_and_their_order_says_nothing(letters: LettersStyle):
    places = set()
    for draw in range(20):
        (window,) = letters.windows(HISTORY[:2], draw=draw)
        offered = letters.offered(HISTORY[:1], HISTORY[1], draw)
        assert len(set(offered)) == len(offered) == 5
        assert HISTORY[0] not in offered
        assert offered[window.targets[0]] == HISTORY[1]
        places.add(window.targets[0])
    assert places == {0, 1, 2, 3, 4}


def test_a_draw_repeats_and_another_one_differs(letters: LettersStyle):
    def tokens(draw: int) -> list[list[int]]:
        return [list(window.tokens) for window in letters.windows(HISTORY, draw=draw)]

    assert tokens(-1) == tokens(-1)
    assert all(one != other for one, other in pairwise([tokens(draw) for draw in (-2, -1, 0, 1, 2)]))


def test_the_loss_of_an_event_is_the_mean_over_the_fixed_draws(base: Base, letters: LettersStyle):
    found = Scorer(base.model, base.style).item_nll([HISTORY])[0]
    by_hand = torch.zeros(4)
    for draw in range(letters.draws):
        for window in letters.windows(HISTORY, draw=-1 - draw):
            tokens = torch.tensor([window.tokens])
            logits = base.model(input_ids=tokens).logits[0, window.positions[0]]
            options = logits[list(window.options[0].tokens)].float()
            by_hand[window.events[0] - 1] -= (
                options.log_softmax(-1)[window.targets[0]].detach() / letters.draws
            )
    torch.testing.assert_close(found, by_hand, rtol=1e-4, atol=1e-5)


def test_scores_are_the_letters_logits_whatever_else_is_in_the_batch(base: Base):
    scorer = Scorer(base.model, base.style)
    histories, candidates = [HISTORY, [7]], [[0, 2, 5], [30, 8]]
    together = scorer.scores(histories, candidates=candidates)
    for row in range(2):
        alone = scorer.scores([histories[row]], candidates=[candidates[row]])
        torch.testing.assert_close(together[row], alone[0], rtol=1e-4, atol=1e-5)
        named = torch.isfinite(together[row]).nonzero().flatten().tolist()
        assert named == sorted(candidates[row])


@pytest.mark.parametrize(
    ("candidates", "words"),
    [
        (None, "letters rank candidates"),
        ([[0, 1, 2, 5, 6, 7]], "6 candidates, but only 5 labels"),
        ([[99]], "outside the catalogue of 40"),
    ],
)
def test_candidates_that_cannot_be_ranked(base: Base, candidates: Any, words: str):
    with pytest.raises(DataError, match=words):
        Scorer(base.model, base.style).scores([HISTORY], candidates=candidates)


def test_sets_of_unequal_size_share_a_batch(base: Base, letters: LettersStyle):
    windows = [letters._question(HISTORY, [0, 2]), letters._question([7], [1, 5, 8, 20])]
    batch = batch_of(windows, letters.pad_token)
    assert not isinstance(batch.asked, slice)
    assert batch.asked.widths().tolist() == [[2], [4]]
    probabilities = choice_logits(base.model, batch).softmax(-1)
    assert probabilities[0, 0, 2:].tolist() == [0.0, 0.0]
    assert probabilities.sum(-1).flatten().tolist() == pytest.approx([1.0, 1.0])


def test_an_adapter_learns_the_answers_and_its_fingerprint_knows_it(base: Base, data: Any):
    users = [data.items(user) for user in list(data.histories)[6:16]]
    training = TrainingConfig(epochs=3, lr=1e-2, patience=2)
    held_out = [(items[:-1], items[-1]) for items in users]
    trained = [items[:-1] for items in users]
    adapter = fit_adapter(base, trained, AdapterConfig(r=4, alpha=8), training, validation=held_out)
    before, after = Scorer(base.model, base.style), Scorer(attach(base, adapter), base.style)
    assert torch.cat(after.item_nll(trained)).mean() < torch.cat(before.item_nll(trained)).mean()
    assert after.last_ranks(users).max() <= 5
    first, second = canary_fingerprint(before), canary_fingerprint(after)
    assert [len(row) for row in first] == [5] * 4
    assert first != second


def test_a_folder_gives_back_the_style_and_its_digest_covers_the_tokenizer(
    base: Base, letters: LettersStyle, catalogue: Catalogue, tmp_path: Path
):
    for name in ("one", "other"):
        save_base(base.model, catalogue, letters, tmp_path / name)
    loaded = load_base(tmp_path / "one")
    assert loaded.style.to_json() == letters.to_json()
    assert loaded.digest == load_base(tmp_path / "other").digest == base.digest
    file = tmp_path / "other" / "tokenizer.json"
    content = json.loads(file.read_text())
    content["normalizer"] = {"type": "Lowercase"}
    file.write_text(json.dumps(content))
    assert load_base(tmp_path / "other").digest != base.digest


def with_prefix_space(style: LettersStyle) -> PreTrainedTokenizerFast:
    """As SentencePiece does: a letter alone is another token than the letter after a line's end."""
    import copy

    tokenizer = copy.deepcopy(style.writer.tokenizer)
    tokenizer.backend_tokenizer.normalizer = normalizers.Prepend(" ")
    return tokenizer


def test_labels_are_read_where_the_answer_stands_unless_the_owner_read_them_alone(
    letters: LettersStyle, catalogue: Catalogue
):
    tokenizer = with_prefix_space(letters)
    content = {**LETTERS, "labels": "ABCDE"}
    in_context = LettersStyle.from_json(content, tokenizer, catalogue.titles)
    # What LlamaRec's training teaches is what follows the line's end.
    assert in_context._read == in_context._answers == letters._answers
    tokens = [tokenizer(label, add_special_tokens=False).input_ids for label in "ABCDE"]
    if all(len(own) == 1 for own in tokens):
        alone = LettersStyle.from_json({**content, "labels_read": "alone"}, tokenizer, catalogue.titles)
        assert alone._read == [own[0] for own in tokens] != alone._answers
    else:
        with pytest.raises(ConfigError, match="label 'A' is 2 tokens"):
            LettersStyle.from_json({**content, "labels_read": "alone"}, tokenizer, catalogue.titles)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": "A"}, "at least two different letters"),
        ({"labels": "AA"}, "at least two different letters"),
        ({"labels": "AB\U0001f600"}, "is 4 tokens where the answer stands"),
        ({"labels_read": "guessed"}, "labels_read must be one of in_context, alone"),
        ({"supervise": "nothing"}, "supervise must be one of"),
        ({"max_tokens": "many"}, "max_tokens must be a whole number"),
        ({"shuffle": 1}, "shuffle must be true or false"),
        ({"pad_token": "<pad>"}, "pad_token must be a token's number, got '<pad>'"),
        ({"pad_token": -1}, "pad_token must be a token's number"),
        ({"colour": 1}, "unknown keys: colour"),
        ({"frames": []}, "a list with one frame"),
        ({"frames": [[*LETTERS["frames"][0][:2], {"slot": "answer"}]]}, "a slot for the candidates"),
    ],
)
def test_a_style_that_cannot_work_is_refused_when_the_folder_is_read(
    base: Base, letters: LettersStyle, catalogue: Catalogue, tmp_path: Path, changes: Any, words: str
):
    save_base(base.model, catalogue, letters, tmp_path)
    (tmp_path / "style.json").write_text(json.dumps({**letters.to_json(), **changes}))
    with pytest.raises(ModelLoadError, match=words):
        load_base(tmp_path)


def test_a_long_prompt_loses_its_left_end_or_its_oldest_items(catalogue: Catalogue):
    history = list(range(20))
    for truncate in ("left", "history"):
        style = letters_style(catalogue, labels="AB", max_tokens=100, truncate=truncate)
        (*_, window) = style.windows([*history, 30], draw=0)
        assert len(window.tokens) <= 100
        written = text(style, list(window.tokens))
        assert catalogue.titles[19] in written
        assert ("A person watched" in written) == (truncate == "history")


def test_a_folder_without_a_tokenizer(
    base: Base, letters: LettersStyle, catalogue: Catalogue, tmp_path: Path
):
    save_base(base.model, catalogue, letters, tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    with pytest.raises(ModelLoadError, match="tokenizer"):
        load_base(tmp_path)


def test_one_item_is_no_choice(letters: LettersStyle):
    with pytest.raises(ConfigError, match="at least two items"):
        LettersStyle.from_json({**LETTERS}, letters.writer.tokenizer, ["only"])


def test_the_documented_example_is_one(catalogue: Catalogue, letters: LettersStyle):
    content = json.loads((Path(__file__).parents[4] / "docs/examples/letters/style.json").read_text())
    style = LettersStyle.from_json(content, letters.writer.tokenizer, catalogue.titles)
    assert style.candidates == 20
    assert content == LETTERS


def test_what_is_left_out_is_not_ranked_among_the_candidates(base: Base):
    scorer, offered = Scorer(base.model, base.style), [[0, 2, 5, 7]]
    (before,) = scorer.best([HISTORY], [4], offered)
    (after,) = scorer.best([HISTORY], [4], offered, [{before[0][0], 11}])
    assert after == before[1:]
