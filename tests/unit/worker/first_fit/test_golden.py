"""The owner's rows against our prompts, in the words of `lethe init`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recommender import Base, InteractionData
from recommender.legal_mass import legal_mass
from recommender.text_base import letters_style
from tests.unit.worker.first_fit.golden_rows import drawn_base, generated, write
from worker.first_fit.errors import FirstFitError
from worker.first_fit.golden import check_golden


@pytest.fixture(scope="module")
def data() -> InteractionData:
    return generated()


@pytest.fixture(scope="module")
def base(data: InteractionData) -> Base:
    style = letters_style(data.catalogue, labels="ABCD")
    return drawn_base(style, data)


def rows(base: Base, data: InteractionData) -> list[dict[str, Any]]:
    """What a collator of the same prompt writes: padded on the left, trained on letter and end."""
    found = []
    for number, (user, history) in enumerate(data.histories.items()):
        items = [event.item for event in history]
        offered = [items[3], *[item for item in range(30) if item not in items][:3]]
        window = base.style.event_window(items[:3], items[3], offered)
        trained = {position + 1 for position in window.language}
        tokens = list(window.tokens)
        padding = number % 3
        found.append(
            {
                "user_id": user,
                "item_id": data.catalogue.item_ids[items[3]],
                "candidates": [data.catalogue.item_ids[item] for item in offered],
                "input_ids": [base.style.pad_token] * padding + tokens,
                "labels": [-100] * padding
                + [token if place in trained else -100 for place, token in enumerate(tokens)],
            }
        )
    return found


def test_rows_of_the_same_prompt_are_accepted(base: Base, data: InteractionData, tmp_path: Path) -> None:
    assert check_golden(write(tmp_path, rows(base, data)), base, data) == 20


def change(**fields: Any) -> Any:
    return lambda content: content[4].update(fields)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[4]["input_ids"].__setitem__(9, 7), r":5: our prompt is not yours: token"),
        (lambda content: content[4]["candidates"].reverse(), ":5: our prompt is not yours: token"),
        (
            change(candidates=["item-0000"] * 9),
            ":5: 9 candidates, but only 4 labels|not among the candidates",
        ),
        (change(user_id="nobody"), ":5: its user or its item is not in the data"),
        (change(item_id="nothing"), ":5: its user or its item is not in the data"),
    ],
)
def test_a_row_that_differs_is_named(
    base: Base, data: InteractionData, tmp_path: Path, damage: Any, words: str
) -> None:
    content = rows(base, data)
    damage(content)
    with pytest.raises(FirstFitError, match=words):
        check_golden(write(tmp_path, content), base, data)


def test_item_tokens_have_no_prompt_of_text(tmp_path: Path, data: InteractionData, base: Base) -> None:
    from dataclasses import replace

    from recommender import ItemTokenStyle

    with pytest.raises(FirstFitError, match="a token for each item"):
        check_golden(tmp_path / "golden.jsonl", replace(base, style=ItemTokenStyle(30)), data)


def test_a_model_that_was_never_asked_so_puts_its_mass_elsewhere(base: Base, data: InteractionData) -> None:
    found = legal_mass(base.model, base.style, [data.items(user) for user in data.histories])
    assert found is not None
    assert found.mean < 0.1
    assert len(found.likeliest) == 10
