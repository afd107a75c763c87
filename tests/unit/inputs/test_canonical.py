import pytest

from inputs import canonical_json


def test_equal_values_are_equal_bytes() -> None:
    assert canonical_json({"b": [1, 2.5], "a": None}) == canonical_json({"a": None, "b": (1, 2.5)})
    assert canonical_json({"b": 1, "a": "é"}) == b'{"a":"\xc3\xa9","b":1}'
    assert canonical_json({"b": 1, "a": "é"}, ascii_only=True) == b'{"a":"\\u00e9","b":1}'
    assert canonical_json(1) != canonical_json(1.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json([value])
