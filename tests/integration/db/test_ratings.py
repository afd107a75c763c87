"""Ratings beside events: stored with them, never changed by a repeat, and read by whoever needs them."""

from __future__ import annotations

from app.db.session import Database
from app.interactions import queries
from app.interactions.service import Ingested, NewInteraction, ingest

ONE, OTHER = "a" * 64, "b" * 64


def test_an_event_keeps_the_rating_that_it_was_stored_with(database: Database) -> None:
    with database.unit_of_work() as session:
        ingest(session, [NewInteraction(ONE, "x", 2, 4.5), NewInteraction(ONE, "y", 1)])
        again = [NewInteraction(ONE, "x", 2, 1.0), NewInteraction(ONE, "y", 1, 5.0)]
        assert ingest(session, again) == Ingested(0, 2, 0)
        assert queries.rated_histories(session, up_to=10) == {ONE: [("y", None), ("x", 4.5)]}
        # Whoever needs no ratings reads what they always read.
        assert queries.histories(session, up_to=10) == {ONE: ["y", "x"]}


def test_the_newest_events_come_with_their_ratings_in_the_order_of_training(database: Database) -> None:
    events = [NewInteraction(ONE, f"i{number}", 7, float(number)) for number in range(5)]
    with database.unit_of_work() as session:
        ingest(session, [*events, NewInteraction(OTHER, "z", 9, 1.0), NewInteraction(ONE, "early", 1)])
        assert queries.newest_rated_items(session, ONE, limit=2) == [("i3", 3.0), ("i4", 4.0)]
        whole = queries.newest_rated_items(session, ONE, limit=99)
        assert whole == queries.rated_histories(session, up_to=99)[ONE]
        assert [item for item, _ in whole] == queries.newest_items(session, ONE, limit=99)


def test_a_watermark_cuts_what_came_later(database: Database) -> None:
    with database.unit_of_work() as session:
        ingest(session, [NewInteraction(ONE, "x", 2, 4.0)])
        seen = queries.watermark(session)
        ingest(session, [NewInteraction(ONE, "y", 1, 2.0)])
        assert queries.rated_histories(session, up_to=seen) == {ONE: [("x", 4.0)]}
