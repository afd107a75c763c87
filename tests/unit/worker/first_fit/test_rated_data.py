"""Data for a style that needs ratings: what `lethe init` asks of them, and golden rows of somebody else's collator."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recommender import Base, InteractionData, StepReport
from recommender.text_base import YES_NO, letters_style, yes_no_style
from tests.unit.worker.first_fit.golden_rows import drawn_base, generated, write
from worker.first_fit.errors import FirstFitError
from worker.first_fit.golden import check_golden
from worker.first_fit.importing import require_ratings


class Heard:
    """Keeps what is said, and follows nothing."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def steps(self, what: str) -> AbstractContextManager[Callable[[StepReport], None]]:
        return nullcontext(lambda _: None)

    def parts(self, what: str) -> AbstractContextManager[Callable[[str], None]]:
        return nullcontext(lambda _: None)


@pytest.fixture(scope="module")
def data() -> InteractionData:
    """The third event of everybody has no rating."""
    made = generated()
    ratings = {
        user: tuple(None if place == 2 else 1.0 + event.item % 5 for place, event in enumerate(history))
        for user, history in made.histories.items()
    }
    return replace(made, ratings=ratings)


@pytest.fixture(scope="module")
def base(data: InteractionData) -> Base:
    style = yes_no_style(data.catalogue, first_target=2)
    return drawn_base(style, data)


def rows(base: Base, data: InteractionData) -> list[dict[str, Any]]:
    """What another collator of the same prompt writes about everybody's fourth event."""
    tokenizer: Any = base.style.writer.tokenizer  # type: ignore[attr-defined]
    found = []
    for user, history in data.histories.items():
        quoted = [f'"{data.catalogue.titles[event.item]}"' for event in history]
        likes = [event.item % 5 > 2 for event in history]
        text = (
            f"A person liked: {', '.join(quoted[place] for place in (0, 1) if likes[place])}\n"
            f"and did not like: {', '.join(quoted[place] for place in (0, 1) if not likes[place])}\n"
            f"Will they like this one? {quoted[3]}\nAnswer:\n"
        )
        prompt = tokenizer(text).input_ids
        answer = tokenizer("Yes" if likes[3] else "No", add_special_tokens=False).input_ids
        answer = [*answer, tokenizer.eos_token_id]
        found.append(
            {
                "user_id": user,
                "item_id": data.catalogue.item_ids[history[3].item],
                "input_ids": [*prompt, *answer],
                "labels": [-100] * len(prompt) + answer,
            }
        )
    return found


def test_rows_of_another_collator_are_ours(base: Base, data: InteractionData, tmp_path: Path) -> None:
    assert check_golden(write(tmp_path, rows(base, data)), base, data) == 20


def test_another_threshold_shows_in_the_first_row_it_changes(
    base: Base, data: InteractionData, tmp_path: Path
) -> None:
    other = replace(base, style=yes_no_style(data.catalogue, liked={"field": "rating", "above": 4}))
    with pytest.raises(FirstFitError, match="our prompt is not yours: token"):
        check_golden(write(tmp_path, rows(base, data)), other, data)


def test_a_row_may_be_of_any_frame_that_training_draws(
    base: Base, data: InteractionData, tmp_path: Path
) -> None:
    (own,) = YES_NO["frames"]
    turned = [{"text": "Somebody liked: "}, *own[1:]]
    for frames, said in (
        ([turned, own], None),
        ([turned, turned], "in none of 2 frames; in the first, token"),
    ):
        style = yes_no_style(data.catalogue, frames=frames, frame_draw="random", first_target=2)
        golden = write(tmp_path, rows(replace(base, style=style), data))
        if said is None:
            assert check_golden(golden, replace(base, style=style), data) == 20
            continue
        with pytest.raises(FirstFitError, match=said):
            check_golden(golden, replace(base, style=style), data)


def test_a_row_about_an_event_without_a_rating(base: Base, data: InteractionData, tmp_path: Path) -> None:
    content = rows(base, data)
    history = data.histories[content[4]["user_id"]]
    content[4]["item_id"] = data.catalogue.item_ids[history[2].item]
    with pytest.raises(FirstFitError, match=":5: its user has not rated its item"):
        check_golden(write(tmp_path, content), base, data)


def test_ratings_are_asked_for_only_where_they_are_needed(base: Base, data: InteractionData) -> None:
    heard = Heard()
    require_ratings(data, base, heard)
    assert heard.said == ["20 interactions have no rating: yes_no reads none of them"]
    unrated = replace(data, ratings={})
    with pytest.raises(FirstFitError, match="yes_no, needs ratings, and no interaction has one"):
        require_ratings(unrated, base, heard)
    require_ratings(unrated, replace(base, style=letters_style(data.catalogue, labels="AB")), heard)
