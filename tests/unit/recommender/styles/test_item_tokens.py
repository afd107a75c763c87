from dataclasses import FrozenInstanceError
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender import ConfigError, DataError, ItemTokenStyle, PromptStyle
from recommender.choices import Window


def test_a_fresh_vocabulary_is_pad_bos_items():
    style = ItemTokenStyle(catalogue_size=3)
    known: PromptStyle = style
    assert (known.pad_token, known.vocab_size, style.item_rows) == (0, 5, slice(2, 5))
    assert style.encode([0, 2]) == [1, 2, 4]


def test_an_empty_history_is_the_beginning_token_alone():
    assert ItemTokenStyle(3).encode([]) == [1]


def test_a_long_history_keeps_its_end():
    assert ItemTokenStyle(9, window=2).encode([5, 6, 7]) == [1, 8, 9]


def test_items_may_lie_anywhere_in_a_pretrained_vocabulary():
    style = ItemTokenStyle(3, pad_token=7, bos_token=0, first_item_token=100)
    assert style.encode([1]) == [0, 101]
    assert style.vocab_size == 103
    assert ItemTokenStyle(2, pad_token=9, first_item_token=2).vocab_size == 10


def plain(window: Window) -> tuple[list[int], list[int]]:
    return list(window.tokens), list(window.targets)


def test_windows_by_hand():
    # Window 2, so chunks of 3, aligned to the end: 7 items make 1 + 3 + 3.
    style = ItemTokenStyle(10, window=2)
    assert [plain(window) for window in style.windows([0, 1, 2, 3, 4, 5, 6])] == [
        ([1], [0]),
        ([1, 3, 4], [1, 2, 3]),
        ([1, 6, 7], [4, 5, 6]),
    ]


@given(length=st.integers(0, 40), window=st.integers(1, 12))
def test_windows_predict_each_item_once_from_a_prompt_scoring_could_give(length: int, window: int):
    style = ItemTokenStyle(50, window=window)
    sequence = list(range(length))
    found = list(style.windows(sequence))
    assert [event for window in found for event in window.events] == sequence
    assert all(window.everywhere and window.options[0] is style.items for window in found)
    windows = [plain(window) for window in found]
    assert [item for _, items in windows for item in items] == sequence
    for tokens, items in windows:
        assert tokens == [style.bos_token, *(style.item_token(item) for item in items[:-1])]
    # Only the oldest chunk may be short, and the last item is predicted from what scoring would see.
    assert all(len(items) == window + 1 for _, items in windows[1:])
    if windows:
        assert windows[-1][0] == style.encode(sequence[:-1])
    assert all(len(a[1]) <= len(b[1]) for a, b in pairwise(windows))


@pytest.mark.parametrize("item", [-1, 3])
def test_an_item_outside_the_catalogue_is_refused(item: int):
    with pytest.raises(DataError, match="outside the catalogue of 3"):
        ItemTokenStyle(3).encode([item])


@pytest.mark.parametrize(
    "fields",
    [
        {"catalogue_size": 0},
        {"catalogue_size": 3, "window": 0},
        {"catalogue_size": 3, "pad_token": 1},
        {"catalogue_size": 3, "pad_token": 4},
        {"catalogue_size": 3, "bos_token": 2},
        {"catalogue_size": 3, "first_item_token": -1},
    ],
)
def test_an_impossible_style_is_refused(fields: dict[str, int]):
    with pytest.raises(ConfigError):
        ItemTokenStyle(**fields)


def test_json_round_trip():
    style = ItemTokenStyle(3, window=7, first_item_token=5)
    assert ItemTokenStyle.from_json(style.to_json()) == style


@pytest.mark.parametrize(
    "content",
    [
        None,
        {"style": "llamarec"},
        {"style": "item_tokens"},
        {"style": "item_tokens", "catalogue_size": "3"},
        {"style": "item_tokens", "catalogue_size": 3, "colour": 1},
    ],
)
def test_another_style_is_refused(content: object):
    with pytest.raises(ConfigError, match="item_tokens"):
        ItemTokenStyle.from_json(content)


def test_a_style_is_a_value():
    with pytest.raises(FrozenInstanceError):
        ItemTokenStyle(3).window = 5  # type: ignore[misc]
