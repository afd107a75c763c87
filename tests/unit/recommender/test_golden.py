"""The owner's own rows beside ours: the first difference is named, decoded."""

import json
from pathlib import Path
from typing import Any

import pytest

from recommender import DataError
from recommender.choices import OptionSet, Window
from recommender.golden import GoldenRow, difference, read_golden

PAD = 0


def decode(tokens: Any) -> str:
    return "".join(chr(96 + token) for token in tokens)


WINDOW = Window(
    tokens=(1, 2, 3, 4, 5),
    events=(0,),
    positions=(2,),
    targets=(0,),
    options=(OptionSet((4, 9)),),
    language=(2, 3),
)


def row(tokens: tuple[int, ...], labels: tuple[int, ...]) -> GoldenRow:
    return GoldenRow(1, "u", "i", tokens, labels, None)


SAME = (-100, -100, -100, 4, 5)


@pytest.mark.parametrize(
    ("tokens", "labels", "words"),
    [
        ((1, 2, 3, 4, 5), SAME, None),
        ((0, 0, 1, 2, 3, 4, 5), (-100, -100, *SAME), None),
        ((1, 2, 3, 4, 5, 0), (*SAME, -100), None),
        ((1, 2, 7, 4, 5), SAME, r"token 2 is 'g' \(7\) in your row and 'c' \(3\) in ours, after 'ab'"),
        ((1, 2, 3, 4), SAME[:4], "your row has 4 tokens and ours 5: ours goes on with 'e'"),
        ((1, 2, 3, 4, 5, 6), (*SAME, 6), "your row goes on with 'f'"),
        ((1, 2, 3, 4, 5), (1, 2, 3, 4, 5), "token 1, 'b', is trained in your row and not in ours"),
        (
            (1, 2, 3, 4, 5),
            (-100, -100, -100, 4, -100),
            "token 4, 'e', is trained in ours and not in your row",
        ),
    ],
)
def test_the_first_difference(tokens: tuple[int, ...], labels: tuple[int, ...], words: str | None):
    found = difference(row(tokens, labels), WINDOW, PAD, decode)
    if words is None:
        assert found is None
    else:
        assert found is not None
        import re

        assert re.search(words, found), found


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["{}"], ":1 is no golden row"),
        (["not JSON"], ":1 is no golden row"),
        ([json.dumps({"user_id": 1, "item_id": 2, "input_ids": [1], "labels": []})], "equally many"),
        ([json.dumps({"user_id": 1, "item_id": 2, "input_ids": ["a"], "labels": [1]})], "whole numbers"),
        ([json.dumps({"user_id": 1, "item_id": 2, "input_ids": [1], "labels": [1]})], "has 1 golden rows"),
    ],
)
def test_a_file_that_is_no_golden_file(tmp_path: Path, lines: list[str], words: str):
    (tmp_path / "golden.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match=words):
        read_golden(tmp_path / "golden.jsonl")


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(DataError, match="cannot read"):
        read_golden(tmp_path / "nothing")
