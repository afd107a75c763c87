"""Seconds, milliseconds, microseconds and nanoseconds are one moment."""

import pytest

from inputs import InvalidInput, moment


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("1700000000", "seconds"),
        ("1700000000000", "milliseconds"),
        ("1700000000000000", "microseconds"),
        ("1700000000000000000", "nanoseconds"),
        ("1.7e9", "seconds"),
        (1_700_000_000, "seconds"),
        (" +1700000000.0 ", "seconds"),
    ],
)
def test_one_moment_in_every_unit(value: int | str, unit: str) -> None:
    assert moment(value).seconds == 1_700_000_000
    assert moment(value).unit == unit


def test_fractions_of_a_second_keep_their_order() -> None:
    assert moment("1700000000.25").nanoseconds - moment("1700000000").nanoseconds == 250_000_000
    assert moment("1700000000001").nanoseconds - moment("1700000000000").nanoseconds == 1_000_000


def test_running_numbers_are_times_too() -> None:
    assert [moment(number).seconds for number in (0, 1, 2)] == [0, 1, 2]


@pytest.mark.parametrize(
    "value", ["", "nan", "NaN", "inf", "-inf", "yesterday", "2024-01-01", "1_000", "0x10", "١٢"]
)
def test_what_is_no_number_is_no_time(value: str) -> None:
    with pytest.raises(InvalidInput, match="must be a number"):
        moment(value)


def test_no_time_is_negative_or_without_end() -> None:
    with pytest.raises(InvalidInput, match="negative"):
        moment("-1")
    with pytest.raises(InvalidInput, match="out of range"):
        moment("1e20")
