"""First weights that find the letter beside a title."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaForCausalLM

from recommender import Catalogue, ConfigError, TrainingConfig
from recommender.binding import draw_binding_heads
from recommender.styles.letters import LettersStyle
from recommender.text_base import TextBaseConfig, build_letters_base, build_text_base, short_letters_style

# The first items come next after all others.
ITEMS, FAVOURITES = 40, 10
CATALOGUE = Catalogue(
    tuple(f"i{item}" for item in range(ITEMS)), tuple(f"A film, the {item}th (1990)" for item in range(ITEMS))
)


@pytest.fixture(scope="module")
def style() -> LettersStyle:
    return short_letters_style(CATALOGUE, labels="ABCD", draws=1)


def drawn(style: LettersStyle, seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    model = LlamaForCausalLM(TextBaseConfig().llama(style, 64))
    draw_binding_heads(model, style.answer_tokens)
    return model.eval()


def test_a_title_is_one_token_and_the_white_space_around_it_too(style: LettersStyle) -> None:
    window = style.event_window([5, 6], 7, [7, 8, 9, 10])
    words = style.writer.tokenizer.convert_ids_to_tokens(list(window.tokens))
    assert words[:2] == ["A film, the 5th (1990)", "A film, the 6th (1990)"]
    assert words[-10:-1] == [
        "A", "A film, the 7th (1990)", "B", "A film, the 8th (1990)", "C", "A film, the 9th (1990)",
        "D", "A film, the 10th (1990)", "=",
    ]  # fmt: skip
    assert window.tokens[-1] == style.answer_tokens[0]


@torch.no_grad()
def test_whoever_looks_at_a_title_says_the_letter_before_it(style: LettersStyle) -> None:
    model = drawn(style)
    window = style.event_window([5, 6, 20], 7, [7, 8, 9, 10])
    asked = window.positions[0]
    states = model(torch.tensor([window.tokens]), output_hidden_states=True).hidden_states[1][0]
    layer = model.model.layers[1]
    said = layer.self_attn.v_proj(layer.input_layernorm(states))
    for place, letter in enumerate(style.answer_tokens):
        title = asked - 2 * (len(style.labels) - place) + 1
        copied = states[asked] + layer.self_attn.o_proj(said[title])
        assert int(model.lm_head(model.model.norm(copied)).argmax()) == letter


@torch.no_grad()
def test_nothing_but_letters_is_said_and_none_is_preferred(style: LettersStyle) -> None:
    window = style.event_window([5, 6, 20], 7, [7, 8, 9, 10])
    logits = drawn(style)(torch.tensor([window.tokens])).logits[0, window.positions[0]]
    letters = torch.softmax(logits, -1)[list(style.answer_tokens)]
    assert letters.sum() > 0.99
    assert letters.max() < 0.6


def test_it_learns_favourites_while_a_model_drawn_plainly_is_still_at_chance(style: LettersStyle) -> None:
    training = TrainingConfig(epochs=40, lr=1e-3, batch_size=30, schedule="constant", patience=None)
    others = range(FAVOURITES, ITEMS)
    panel = [[other, other * 7 % FAVOURITES] for other in others]
    # The favourite is the last of the candidates.
    offered = [
        [*((other + step) % len(others) + FAVOURITES for step in (3, 2, 1)), other * 7 % FAVOURITES]
        for other in others
    ]

    def right(model: LlamaForCausalLM) -> float:
        scores = style.scores(model, [[other] for other in others], candidates=offered)
        return float((scores.argmax(1) < FAVOURITES).float().mean())

    assert right(build_letters_base(style, panel, training=training)) > 0.9
    assert right(build_text_base(style, panel, training=training)) < 0.5


def test_the_same_seed_gives_the_same_weights(style: LettersStyle) -> None:
    first, again, other = drawn(style), drawn(style), drawn(style, seed=1)
    name = "model.embed_tokens.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize("shape", [{"layers": 1}, {"heads": 1}, {"heads": 32}])
def test_a_shape_without_room_is_refused(style: LettersStyle, shape: dict[str, int]) -> None:
    model = LlamaForCausalLM(TextBaseConfig(**shape).llama(style, 64))
    with pytest.raises(ConfigError, match="letters are bound by two layers"):
        draw_binding_heads(model, style.answer_tokens)
