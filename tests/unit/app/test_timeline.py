"""What tells a process that the database is not the one any more that it has worked with (I15), each sign by itself."""

from __future__ import annotations

import pytest

from app.db.errors import DatabaseRewound, DatabaseUnconfirmed
from app.db.timeline import JoinedTimeline


@pytest.fixture
def joined() -> JoinedTimeline:
    timeline = JoinedTimeline()
    timeline.join("a", 5)
    return timeline


def test_the_same_and_what_follows_it_are_agreed_with(joined: JoinedTimeline) -> None:
    joined.require("a", 5)
    joined.require("a", 7)
    assert joined.epoch == 7
    # Read before somebody else here saw more.
    assert joined.agrees("a", 6, seen=6)
    assert not joined.lost


def test_an_older_epoch_is_another_database(joined: JoinedTimeline) -> None:
    with pytest.raises(DatabaseRewound):
        joined.require("a", 4)
    assert joined.lost


def test_what_this_process_has_moved_itself_counts_as_seen(joined: JoinedTimeline) -> None:
    joined.saw(8)
    with pytest.raises(DatabaseRewound):
        joined.require("a", 7)


def test_another_token_is_another_database_however_far_it_has_come(joined: JoinedTimeline) -> None:
    with pytest.raises(DatabaseRewound):
        joined.require("b", 9)


def test_once_lost_it_stays_lost_until_it_is_joined_again(joined: JoinedTimeline) -> None:
    """Others hand out epochs in the restored database meanwhile, until it has come as far as this process had seen."""
    assert joined.agrees("a", 4, seen=5) is False
    with pytest.raises(DatabaseRewound):
        joined.require("a", 6)
    joined.join("b", 6)
    joined.require("b", 6)


def test_before_the_first_join_there_is_nothing_to_compare_with() -> None:
    timeline = JoinedTimeline()
    timeline.require("a", 0)
    assert not timeline.lost


def test_what_is_doubted_is_let_through_once_the_store_was_asked(joined: JoinedTimeline) -> None:
    assert (joined.doubted, joined.doubts) == (False, 0)
    joined.doubt()
    assert (joined.doubted, joined.doubts) == (True, 1)
    with pytest.raises(DatabaseUnconfirmed):
        joined.require("a", 5)
    joined.trust(joined.doubts)
    assert (joined.doubted, joined.doubts) == (False, 1)
    joined.require("a", 5)


def test_a_doubt_that_comes_while_the_store_is_asked_stays(joined: JoinedTimeline) -> None:
    joined.doubt()
    before = joined.doubts
    joined.doubt()
    joined.trust(before)
    assert (joined.doubted, joined.doubts) == (True, 2)
    joined.trust(2)
    assert not joined.doubted


def test_to_have_asked_the_store_is_no_doubt(joined: JoinedTimeline) -> None:
    joined.trust(-1)
    assert not joined.doubted


def test_epochs_are_seen_from_the_first_on() -> None:
    assert JoinedTimeline().epoch == 0
