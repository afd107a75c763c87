"""Yes or no: the prompt by hand, labels in context and alone, shared prompts, and every way to get it wrong."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import normalizers
from transformers import LlamaConfig, LlamaForCausalLM

from recommender import (
    AdapterConfig,
    Base,
    Catalogue,
    ConfigError,
    DataError,
    ModelLoadError,
    PromptStyle,
    Scorer,
    TrainingConfig,
    attach,
    canary_fingerprint,
    fit_adapter,
    load_base,
    save_base,
)
from recommender.legal_mass import legal_mass
from recommender.styles import YesNoStyle
from recommender.styles.branches import common_beginning
from recommender.text_base import YES_NO, letters_style, train_tokenizer, yes_no_style

ITEMS = 12
CATALOGUE = Catalogue(
    tuple(f"i{item}" for item in range(ITEMS)), tuple(f"Title {item}" for item in range(ITEMS))
)
FRAME: list[dict[str, Any]] = [
    {"text": "Liked: "},
    {"slot": "history", "where": "liked", "item": "{n} {title}", "sep": ", ", "max": 4},
    {"text": "; not: "},
    {"slot": "history", "where": "disliked", "item": "{title}", "sep": ", ", "max": 4},
    {"text": "\nIs "},
    {"slot": "target", "item": "{title}"},
    {"text": " one?\n"},
    {"slot": "answer"},
]


def style_of(**changes: Any) -> YesNoStyle:
    return yes_no_style(CATALOGUE, **{"frames": [FRAME], "first_target": 2, "max_tokens": 128, **changes})


def liked(*items: int) -> list[int]:
    return [3 * item + 2 for item in items]


def disliked(*items: int) -> list[int]:
    return [3 * item + 1 for item in items]


def unrated(*items: int) -> list[int]:
    return [3 * item for item in items]


def model_of(style: YesNoStyle, **changes: Any) -> LlamaForCausalLM:
    torch.manual_seed(4)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=style.vocab_size, pad_token_id=0, **shape, **changes)
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("yes-no")
    style = style_of()
    save_base(model_of(style), CATALOGUE, style, folder)
    return load_base(folder)


def test_an_event_is_a_number_that_tells_its_item_and_what_the_user_thought_of_it():
    style: PromptStyle = style_of()
    assert (style.needs_ratings, style.event_kinds, style.event_options) == (True, 36, 2)
    # Above 3 is liked, 3 is not.
    events = [style.event(5, rating) for rating in (None, 3.0, 3.1)]
    assert events == [15, 16, 17]
    assert [style.item_of(event) for event in events] == [5, 5, 5]
    assert [style.liked(event) for event in events] == [None, False, True]


def test_other_styles_know_items_only():
    style: PromptStyle = letters_style(CATALOGUE, labels="AB")
    assert (style.needs_ratings, style.event_kinds) == (False, ITEMS)
    assert (style.event(5, 4.0), style.item_of(5), style.liked(5)) == (5, 5, None)


def test_windows_by_hand():
    style = style_of()
    sequence = [*liked(1), *disliked(2), *liked(3, 4), *disliked(5), *liked(6)]
    windows = list(style.windows(sequence))
    assert [window.events for window in windows] == [(2,), (3,), (4,), (5,)]
    assert style.decode(windows[0].tokens) == "Liked: 1 Title 1; not: Title 2\nIs Title 3 one?\nYes</s>"
    # The last four rated items, and then the two lists.
    assert style.decode(windows[3].tokens) == (
        "Liked: 1 Title 3, 2 Title 4; not: Title 2, Title 5\nIs Title 6 one?\nYes</s>"
    )
    assert [window.targets[0] for window in windows] == [1, 1, 0, 1]
    window = windows[2]
    assert style.decode(window.tokens).endswith("No</s>")
    (place,) = window.positions
    assert window.options[0].tokens[window.targets[0]] == window.tokens[place + 1]
    # The loss is on the answer and the end.
    assert window.language == range(place, place + 2)
    assert windows[0].options[0] is window.options[0]


def test_a_history_may_be_one_list_and_empty_ones_leave_their_texts():
    frame = [FRAME[0], {"slot": "history", "item": "{n}. {title}", "sep": " "}, *FRAME[4:]]
    style = style_of(frames=[[*FRAME[:2], *FRAME[4:]]])
    (window,) = style.windows([*liked(1), *disliked(2), *liked(3)])
    assert style.decode(window.tokens) == "Liked: 1 Title 1\nIs Title 3 one?\nYes</s>"
    style = style_of(frames=[frame], first_target=0)
    first, _, third = style.windows([*liked(1), *disliked(2), *liked(3)])
    assert style.decode(first.tokens) == "Liked: \nIs Title 1 one?\nYes</s>"
    assert style.decode(third.tokens) == "Liked: 1. Title 1 2. Title 2\nIs Title 3 one?\nYes</s>"


def test_what_has_no_rating_stands_in_no_list_and_is_never_asked_about(base: Base):
    style = style_of()
    plain = style.event_window([*liked(1), *disliked(2)], liked(3)[0])
    # An item stands where its first rating puts it.
    mixed = style.event_window([*unrated(7), *liked(1), *unrated(8), *disliked(2, 1)], liked(3)[0])
    assert mixed.tokens == plain.tokens
    with pytest.raises(DataError, match="without a rating has no answer"):
        list(style.windows([*liked(1, 2), *unrated(3)]))
    # It counts as seen all the same.
    scores = Scorer(base.model, base.style).scores([[*unrated(7), *liked(1)]], candidates=[[0, 1, 7]])
    assert torch.isfinite(scores[0]).nonzero().flatten().tolist() == [0]


def test_what_training_wrote_behind_the_answer():
    style = style_of(answer_end=".")
    (window,) = style.windows([*liked(1, 2), *disliked(3)])
    assert style.decode(window.tokens).endswith("\nNo.</s>")
    assert len(window.language) == 3
    assert style_of(answer_end=".", supervise="all").event_window([], liked(1)[0]).language[0] == 0


@torch.no_grad()
def one_by_one(
    model: LlamaForCausalLM, style: YesNoStyle, history: list[int], items: list[int]
) -> list[float]:
    """Scores from whole prompts, each in a forward of its own."""
    no, yes = style._read
    found = []
    for item in items:
        tokens = style.event_window(history, liked(item)[0]).tokens
        prompt = tokens[: len(tokens) - 2]
        logits = model(input_ids=torch.tensor([prompt])).logits[0, -1]
        found.append(float(logits[yes] - logits[no]) if style.read == "softmax" else float(logits[yes]))
    return found


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("budget", [8192, 60])
@pytest.mark.parametrize("read", ["softmax", "yes_logit"])
def test_a_shared_prompt_gives_the_scores_of_whole_ones(attention: str, budget: int, read: str):
    style = style_of(read=read)
    model = model_of(style)
    model.set_attn_implementation(attention)
    histories = [[*liked(1, 3), *disliked(2, 11)], liked(9)]
    candidates = [[0, 4, 10, 11, 7], [10, 2]]
    prompts = [style._prompt(histories[0], item, style.writer) for item in candidates[0]]
    assert common_beginning(prompts) > 8
    found = style.scores(model, histories, candidates=candidates, token_budget=budget)
    for row, (history, items) in enumerate(zip(histories, candidates, strict=True)):
        expected = one_by_one(model, style, history, items)
        assert found[row, items].tolist() == pytest.approx(expected, abs=1e-4)
        assert torch.isfinite(found[row]).sum() == len(items)


def test_a_target_before_the_history_and_short_attention_read_whole_prompts():
    turned = [
        {"text": "Is "},
        FRAME[5],
        {"text": " one for who liked "},
        *FRAME[1:4],
        {"text": "?\n"},
        FRAME[7],
    ]
    items = [0, 4, 10]
    for style, changes in ((style_of(frames=[turned]), {}), (style_of(), {"sliding_window": 4})):
        model = model_of(style)
        for name, value in changes.items():
            setattr(model.config, name, value)
        found = style.scores(model, [liked(1, 3)], candidates=[items])
        assert found[0, items].tolist() == pytest.approx(
            one_by_one(model, style, liked(1, 3), items), abs=1e-4
        )


def test_an_answer_depends_on_nothing_else_in_the_batch(base: Base):
    scorer = Scorer(base.model, base.style)
    histories, candidates = [[*liked(1), *disliked(3)], liked(7), liked(2)], [[0, 2, 5], [8], []]
    together = scorer.scores(histories, candidates=candidates)
    for row in range(3):
        alone = scorer.scores([histories[row]], candidates=[candidates[row]])
        torch.testing.assert_close(together[row], alone[0], rtol=1e-4, atol=1e-5)


def test_the_loss_of_an_event_is_that_of_its_label_among_two(base: Base):
    sequence = [*liked(1), *disliked(2), *liked(3), *disliked(4)]
    (found,) = Scorer(base.model, base.style).item_nll([sequence])
    assert isinstance(base.style, YesNoStyle)
    expected = []
    for place, sign in ((2, 1), (3, -1)):
        odds = one_by_one(base.model, base.style, sequence[:place], [sequence[place] // 3])[0]  # type: ignore[arg-type]
        expected.append(float(torch.nn.functional.softplus(torch.tensor(-sign * odds))))
    assert found.tolist() == pytest.approx(expected, abs=1e-4)


def test_an_adapter_learns_the_labels_and_its_fingerprint_knows_it(base: Base):
    users = [[*liked(item, item + 1), *disliked(item + 6, item + 5), *liked(item + 2)] for item in range(5)]
    held_out = [(own[:-1], own[-1]) for own in users]
    for keeps in ("least_loss", "best_recall"):
        training = TrainingConfig(epochs=3, lr=1e-2, patience=2, keeps=keeps)  # type: ignore[arg-type]
        adapter = fit_adapter(base, users, AdapterConfig(r=4, alpha=8), training, validation=held_out)
    before, after = Scorer(base.model, base.style), Scorer(attach(base, adapter), base.style)
    assert torch.cat(after.item_nll(users)).mean() < torch.cat(before.item_nll(users)).mean()
    first, second = canary_fingerprint(before), canary_fingerprint(after)
    assert [len(row) for row in first] == [12] * 4
    # The canaries are rated: with their lists, prompts differ.
    assert len({tuple(row) for row in first}) == 4
    assert first != second
    mass = [legal_mass(model, base.style, users) for model in (base.model, attach(base, adapter))]
    assert mass[0] is not None
    assert mass[1] is not None
    assert mass[0].mean < mass[1].mean
    with pytest.raises(DataError, match="labels and no ranks"):
        after.last_ranks(users)


def test_labels_are_read_where_the_answer_stands_unless_the_owner_read_them_alone():
    """As SentencePiece does: a label alone is another token than the label after a line's end."""
    content = {**YES_NO, "frames": [FRAME]}
    plain_tokenizer = train_tokenizer([*CATALOGUE.titles, *["Yes", "No", " Yes", " No"] * 2])
    plain = YesNoStyle.from_json(content, plain_tokenizer, CATALOGUE.titles)
    tokenizer = copy.deepcopy(plain_tokenizer)
    tokenizer.backend_tokenizer.normalizer = normalizers.Prepend(" ")
    in_context = YesNoStyle.from_json(content, tokenizer, CATALOGUE.titles)
    assert in_context._read == in_context._answers == plain._answers
    alone = YesNoStyle.from_json({**content, "labels_read": "alone"}, tokenizer, CATALOGUE.titles)
    spaced = [plain_tokenizer(label, add_special_tokens=False).input_ids for label in (" No", " Yes")]
    assert [[token] for token in alone._read] == spaced
    assert not set(alone._read) & set(alone._answers)
    # What was trained does not depend on what is read.
    assert alone._answers == in_context._answers
    window = alone.event_window(liked(1), liked(2)[0])
    assert tuple(window.options[0].tokens) == in_context._answers
    # A label that is two tokens alone can be read in context only.
    tokenizer.backend_tokenizer.normalizer = normalizers.Prepend("~")
    with pytest.raises(ConfigError, match="label 'No' is 2 tokens alone"):
        YesNoStyle.from_json({**content, "labels_read": "alone"}, tokenizer, CATALOGUE.titles)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ["No"]}, "a list of two texts"),
        ({"labels": "No"}, "a list of two texts"),
        ({"labels": ["No", "No"]}, "two different texts"),
        ({"labels": ["No", "Yes\U0001f600"]}, "tokens where the answer stands"),
        ({"labels_read": "guessed"}, "labels_read must be one of in_context, alone"),
        ({"read": "guessed"}, "read must be one of softmax, yes_logit"),
        ({"supervise": "nothing"}, "supervise must be one of"),
        ({"liked": None}, "needs `liked`"),
        ({"liked": {"field": "stars", "above": 3}}, "needs `liked`"),
        ({"liked": {"field": "rating", "above": "3"}}, "must be a finite number"),
        ({"candidates": 0}, "candidates must be a whole number of at least 1"),
        ({"answer_end": 1}, "answer_end must be a text"),
        ({"colour": 1}, "unknown keys: colour"),
        ({"frames": []}, "a list with one frame"),
        ({"frames": [FRAME[:-1]]}, "a slot for the answer"),
        ({"frames": [[*FRAME[:4], *FRAME[6:]]]}, "a slot for the target"),
        ({"frames": [FRAME[4:]]}, "a slot for the history"),
        ({"frames": [[*FRAME[:4], FRAME[3], *FRAME[4:]]]}, "not disliked twice"),
        ({"frames": [[*FRAME[:3], {**FRAME[3], "max": 5}, *FRAME[4:]]]}, "one max, not 4 and 5"),
        (
            {"frames": [[*FRAME[:3], {"slot": "history", "item": "{title}", "max": 4}, *FRAME[4:]]]},
            "one list, or a list of liked and one of disliked",
        ),
        (
            {"frames": [[FRAME[0], {**FRAME[1], "where": "loved"}, *FRAME[2:]]]},
            "where must be one of liked, disliked",
        ),
        (
            {"frames": [[*FRAME[:6], {"slot": "candidates", "item": "{title}"}, *FRAME[6:]]]},
            "has no slot for candidates",
        ),
    ],
)
def test_a_style_that_cannot_work_is_refused_when_the_folder_is_read(
    base: Base, tmp_path: Path, changes: Any, words: str
):
    style = base.style
    save_base(base.model, CATALOGUE, style, tmp_path)
    (tmp_path / "style.json").write_text(json.dumps({**style.to_json(), **changes}))
    with pytest.raises(ModelLoadError, match=words):
        load_base(tmp_path)


def test_other_styles_know_of_nobody_who_liked_what():
    frame = [
        {"slot": "history", "where": "liked", "item": "{title}"},
        {"slot": "candidates", "item": "{label}"},
    ]
    with pytest.raises(ConfigError, match="knows nothing of who liked what"):
        letters_style(CATALOGUE, frames=[[*frame, {"slot": "answer"}]])


@pytest.mark.parametrize(
    ("candidates", "words"),
    [
        (None, "yes_no ranks candidates"),
        ([[99]], "outside the catalogue of 12"),
        ([[-1]], "outside the catalogue"),
    ],
)
def test_candidates_that_cannot_be_ranked(base: Base, candidates: Any, words: str):
    with pytest.raises(DataError, match=words):
        Scorer(base.model, base.style).scores([liked(1)], candidates=candidates)


def test_events_of_no_item(base: Base):
    with pytest.raises(DataError, match="event of no item"):
        list(base.style.windows([36, *liked(1, 2)], draw=0))


def test_a_folder_gives_back_the_style(base: Base):
    assert base.style.to_json() == style_of().to_json()
    assert isinstance(base.style, YesNoStyle)


def test_a_long_prompt_loses_its_left_end_or_its_oldest_items():
    history = liked(*range(10))
    for truncate in ("left", "history"):
        frame = [FRAME[0], {**FRAME[1], "max": 10}, FRAME[2], {**FRAME[3], "max": 10}, *FRAME[4:]]
        style = style_of(frames=[frame], max_tokens=40, truncate=truncate)
        window = style.event_window(history, liked(11)[0])
        assert len(window.tokens) <= 40
        written = style.decode(window.tokens)
        assert "Title 9" in written
        assert "Title 0" not in written
        assert written.startswith("Liked: ") == (truncate == "history")


def test_the_documented_example_is_one():
    content = json.loads((Path(__file__).parents[4] / "docs/examples/yes_no/style.json").read_text())
    style = YesNoStyle.from_json(content, style_of().writer.tokenizer, CATALOGUE.titles)
    assert (style.first_target, style.history, style.candidates) == (10, 10, ITEMS)
    assert content == YES_NO


def test_what_is_left_out_is_not_ranked_among_the_candidates(base: Base):
    scorer, offered = Scorer(base.model, base.style), [[0, 2, 5]]
    (before,) = scorer.best([liked(1)], [3], offered)
    (after,) = scorer.best([liked(1)], [3], offered, [{before[0][0]}])
    assert after == before[1:]
