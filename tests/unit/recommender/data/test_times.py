import pytest

from inputs import InvalidInput, moment
from recommender.data.times import ISO, file_moment

DAY = 1_704_067_200  # 2024-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("text", "nanoseconds", "zoned"),
    [
        ("2024-01-01", DAY * 10**9, True),
        ("2024-01-01T00:00", DAY * 10**9, False),
        (" 2024-01-01 00:00:01 ", (DAY + 1) * 10**9, False),
        ("2024-01-01T00:00:00Z", DAY * 10**9, True),
        ("2024-01-01t00:00:00z", DAY * 10**9, True),
        ("2024-01-01T02:00:00+02:00", DAY * 10**9, True),
        ("2024-01-01T02:00:00+0200", DAY * 10**9, True),
        ("2023-12-31 19:30:00 -04:30", DAY * 10**9, True),
        ("2024-01-01T00:00:00.5Z", DAY * 10**9 + 500_000_000, True),
        ("2024-01-01T00:00:00,000000001Z", DAY * 10**9 + 1, True),
        ("1970-01-01", 0, True),
    ],
)
def test_dates(text: str, nanoseconds: int, zoned: bool):
    assert file_moment(text) == (nanoseconds, ISO, zoned)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2024-13-01", "is no date that exists"),
        ("2023-02-29", "is no date that exists"),
        ("2024-01-01T24:01:00", "is no date that exists"),
        ("2024-01-01T00:00:00+99:00", "is no date that exists"),
        ("1969-12-31T23:59:59Z", "must not be negative"),
        ("1970-01-01T00:00:00+01:00", "must not be negative"),
        ("01/02/2024", "must be a number"),
        ("2024-1-1", "must be a number"),
        ("2024-01-01T00:00:00.1234567890Z", "must be a number"),
        ("٢٠٢٤-01-01", "must be a number"),
    ],
)
def test_what_is_no_date(text: str, problem: str):
    with pytest.raises(InvalidInput, match=problem):
        file_moment(text)


@pytest.mark.parametrize("text", ["5", "1700000000.25", "17e11", "1700000000000000001", " 3 "])
def test_numbers_are_what_they_are_everywhere_else(text: str):
    assert file_moment(text) == (*moment(text), True)
