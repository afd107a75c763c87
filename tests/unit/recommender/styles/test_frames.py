"""Frames as data: what they write, and what is refused."""

from typing import Any

import pytest

from recommender import ConfigError
from recommender.styles.frames import Frame

ANSWER: dict[str, Any] = {"slot": "answer"}
HISTORY: dict[str, Any] = {"slot": "history", "item": "{n}. {title}", "sep": "; ", "max": 3}


def test_texts_and_items_in_the_order_of_the_segments():
    frame = Frame.from_json([{"text": "Seen: "}, HISTORY, {"text": "\nNext: "}, ANSWER])
    items = [{"n": 1, "title": "Tide"}, {"n": 2, "title": "{odd} braces"}]
    assert frame.write({"history": items}) == ["Seen: ", "1. Tide; 2. {odd} braces", "\nNext: "]
    assert Frame.from_json(frame.to_json()) == frame


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"text": "x"}, "list of segments"),
        ([HISTORY], "needs a slot for the answer"),
        ([ANSWER, HISTORY], "needs a slot for the answer"),
        ([{"text": "x"}, ANSWER], "needs a slot for the history"),
        ([HISTORY, HISTORY, ANSWER], "not history twice"),
        ([{"slot": "weather"}, HISTORY, ANSWER], "segment 1 .* 'weather' is none of"),
        ([{**HISTORY, "colour": 1}, ANSWER], "segment 1 .* no colour"),
        ([{**HISTORY, "max": 0}, ANSWER], "max must be a whole number"),
        ([{**HISTORY, "item": "{title.__class__}"}, ANSWER], "may name"),
        ([{**HISTORY, "item": "{title!r}"}, ANSWER], "may name"),
        ([{**HISTORY, "item": "{title:>99999999}"}, ANSWER], "may name"),
        ([{**HISTORY, "item": "{"}, ANSWER], "cannot be read"),
        ([{**HISTORY, "item": "always the same"}, ANSWER], "names no field"),
        ([{"text": "x", "more": 1}, HISTORY, ANSWER], "nothing but its string"),
        (["x", HISTORY, ANSWER], "segment 1"),
    ],
)
def test_what_is_no_frame_is_refused_by_its_segment(content: Any, words: str):
    with pytest.raises(ConfigError, match=words):
        Frame.from_json(content)
