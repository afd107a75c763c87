from __future__ import annotations

from recommender import Catalogue
from recommender.text_base import yes_no_style
from worker.stored_events import events_of, rated_events_of

NAMES = tuple(f"i{number}" for number in range(9))
CATALOGUE = Catalogue(NAMES, NAMES)


def test_an_item_counts_once_and_unknown_ones_not_at_all() -> None:
    assert events_of(["i3", "other", "i1", "i3"], CATALOGUE) == [3, 1]


def test_what_has_no_rating_is_nothing_that_a_style_of_ratings_reads() -> None:
    style = yes_no_style(CATALOGUE)
    history = [("i3", None), ("i1", 4.0), ("other", 5.0), ("i3", 3.0), ("i1", 1.0), ("i2", 3.5)]
    found = rated_events_of(history, CATALOGUE, style)
    # Liked is what is rated above 3. An item counts at its first rating.
    assert found == [style.event(1, 5.0), style.event(3, 1.0), style.event(2, 4.0)]
    assert [style.item_of(event) for event in found] == [1, 3, 2]
    assert [style.liked(event) for event in found] == [True, False, True]
