"""Which events a selection takes, and that it names no item."""

import pytest

from app.selections.criteria import Criteria, item_digest, item_digests

SUBJECT = "a" * 64


def criteria(*items: str, after: int | None = None, before: int | None = None) -> Criteria:
    return Criteria(item_digests(SUBJECT, items) if items else None, after, before, until=100)


@pytest.mark.parametrize(
    ("one", "item", "time", "selected"),
    [
        (criteria("film"), "film", 50, True),
        (criteria("film"), "other", 50, False),
        (criteria("film"), "film", 101, False),
        (criteria(before=50), "film", 49, True),
        (criteria(before=50), "film", 50, False),
        (criteria(after=50), "film", 50, True),
        (criteria(after=50), "film", 49, False),
        (criteria("film", after=10, before=20), "film", 15, True),
        (criteria("film", after=10, before=20), "film", 25, False),
    ],
)
def test_an_event_must_meet_every_criterion_and_be_older_than_the_request(
    one: Criteria, item: str, time: int, selected: bool
) -> None:
    assert one.selects(SUBJECT, item, time) is selected


def test_criteria_hold_no_item_and_read_back_equal() -> None:
    one = criteria("secret-film", "another")
    assert "film" not in str(one.to_plain())
    assert Criteria.from_plain(one.to_plain()) == one
    assert item_digest("b" * 64, "secret-film") != item_digest(SUBJECT, "secret-film")


def test_the_same_question_later_is_the_same_question() -> None:
    later = Criteria(item_digests(SUBJECT, ["b", "a", "a"]), None, None, until=999)
    assert criteria("a", "b").asks_the_same(later)
    assert not criteria("a").asks_the_same(later)


def test_another_spelling_of_an_id_is_the_same_item() -> None:
    """A catalogue may have `42.0`, and whoever asks says `42`."""
    assert item_digest(SUBJECT, "42.0") == item_digest(SUBJECT, "42")
    assert criteria("42").selects(SUBJECT, "42.0", 5)
