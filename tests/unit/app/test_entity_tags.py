"""R-7: the tag of an answer, and when a caller has it already."""

import pytest
from pydantic import BaseModel

from app.entity_tags import matches, tag_of


class View(BaseModel):
    status: str
    seconds_left: int = 0


def test_a_tag_names_what_is_said_and_not_the_time_that_passes() -> None:
    first = tag_of(View(status="queued", seconds_left=9), without=["seconds_left"])
    assert first == tag_of(View(status="queued", seconds_left=8), without=["seconds_left"])
    assert first != tag_of(View(status="unlearning", seconds_left=9), without=["seconds_left"])
    assert first != tag_of(View(status="queued", seconds_left=9))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, False),
        ("", False),
        ('W/"a"', True),
        ('"a"', True),
        ('"b", W/"a"', True),
        ("*", True),
        ('"b"', False),
        ('W/"aa"', False),
        ("a", False),
    ],
)
def test_tags_are_compared_weakly(asked: str | None, found: bool) -> None:
    assert matches(asked, 'W/"a"') is found
