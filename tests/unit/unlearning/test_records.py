from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearning.errors import InvalidReport
from unlearning.records import canonical_json, from_plain, to_plain


@dataclass(frozen=True)
class Inner:
    share: float
    label: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    count: int
    flag: bool
    inner: tuple[Inner, ...]
    extra: dict[str, Any]
    limit: int | None = None


EXAMPLE = Outer(2, True, (Inner(0.5), Inner(1.0, "b")), {"k": [1, "x"]}, None)


def read(data: object) -> Outer:
    return from_plain(Outer, data, InvalidReport)


def test_a_record_survives_the_round_trip() -> None:
    assert read(to_plain(EXAMPLE)) == EXAMPLE


@given(st.integers(), st.booleans(), st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_any_values_survive_the_round_trip(count: int, flag: bool, shares: list[float]) -> None:
    record = Outer(count, flag, tuple(Inner(share) for share in shares), {}, count)
    assert read(to_plain(record)) == record


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": 1, "a": [Inner(0.5)]}) == canonical_json({"a": [Inner(0.5)], "b": 1})
    assert canonical_json({"b": 1, "a": 2}) == b'{"a":2,"b":1}'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_does_not_exist_has_no_json_form(value: float) -> None:
    with pytest.raises(ValueError, match="use None"):
        to_plain(Inner(value))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surplus": 1}, "has no field surplus; its fields are count, flag"),
        ({"count": "2"}, "Outer.count must be int"),
        ({"count": True}, "Outer.count must be int"),
        ({"flag": 1}, "Outer.flag must be bool"),
        ({"inner": [{"share": "x"}]}, r"Outer.inner\[0\].share must be float"),
        ({"inner": [{"share": float("inf")}]}, "must be a finite number"),
        ({"inner": [{"share": 1, "label": "c"}]}, "label is 'c'; choose one of a, b"),
        ({"inner": {}}, "Outer.inner must be a list"),
        ({"extra": []}, "Outer.extra must be an object"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidReport, match=message):
        read(to_plain(EXAMPLE) | change)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InvalidReport, match="lacks count"):
        read({"flag": True, "inner": [], "extra": {}})
    with pytest.raises(InvalidReport, match="must be an object"):
        read([])


def test_an_integer_may_stand_for_a_float() -> None:
    assert read(to_plain(EXAMPLE) | {"inner": [{"share": 1}]}).inner == (Inner(1.0),)
