import enum
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.canonical_json import MAX_DEPTH, NotCanonical, decode, decode_canonical, encode, plain

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_the_form_is_as_written_down() -> None:
    assert encode({"b": [1, 1.0, 1e22, 0.1], "a": "é\n", "Z": None}) == (
        b'{"Z":null,"a":"\\u00e9\\n","b":[1,1.0,1e+22,0.1]}'
    )


@given(VALUES)
def test_reading_what_was_written_gives_the_same_value_and_the_same_bytes(value: object) -> None:
    assert decode_canonical(encode(value)) == value


def test_order_of_insertion_does_not_matter() -> None:
    assert encode({"a": 1, "b": 2}) == encode({"b": 2, "a": 1})


class Colour(enum.StrEnum):
    RED = "red"


def test_plain_makes_a_deep_copy_of_plain_types() -> None:
    inner = [1]
    copy = plain({"t": (1, 2), "c": Colour.RED, "d": np.float64(0.5), "l": inner})
    inner.append(2)
    assert copy == {"t": [1, 2], "c": "red", "d": 0.5, "l": [1]}
    assert type(copy["c"]) is str
    assert type(copy["d"]) is float


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, {1: 2}, {None: 1}, b"bytes", {1, 2}, object(), np.float32(1)],
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(NotCanonical):
        encode({"value": value})


def test_an_integer_too_long_for_the_interpreter_is_refused() -> None:
    with pytest.raises(NotCanonical, match="digits"):
        encode(10**5000)


def test_nesting_is_bounded_both_ways() -> None:
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert decode_canonical(encode(value)) == value
    with pytest.raises(NotCanonical, match="nested"):
        encode([value])
    with pytest.raises(NotCanonical, match="nested"):
        decode(b"[" * 200_000 + b"]" * 200_000)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"1" * 5000,
        b"{",
        b"",
        b"\xff\xfe",
        b'"\xc3"',
        b"1 2",
        b"{'a':1}",
        b"[1,]",
    ],
)
def test_text_that_is_not_strict_json_is_refused(text: bytes) -> None:
    with pytest.raises(NotCanonical):
        decode(text)


@pytest.mark.parametrize(
    "text", [b'{"a": 1}', b'{"b":1,"a":2}', b"1.00", b"1E2", b'"\xc3\xa9"', b" 1", b"1\n"]
)
def test_other_layouts_are_read_but_are_not_canonical(text: bytes) -> None:
    decode(text)
    with pytest.raises(NotCanonical, match="not in canonical form"):
        decode_canonical(text)
