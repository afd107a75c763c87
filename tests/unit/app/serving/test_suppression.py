"""Ordering of the suppression feed: whatever is lost, late, repeated or rewound, nobody is personalised by mistake."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.serving import ControlState
from app.serving.suppression import SuppressionSet


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def feed(
    epoch: int, *suppressed: tuple[int, str], timeline: str | None = None, vouched: bool = True
) -> ControlState:
    return ControlState(
        generation=1,
        live_digest=None,
        erasure_floor=0,
        candidate_digest=None,
        epoch=epoch,
        suppressed=suppressed,
        timeline=timeline,
        vouched=vouched,
    )


def test_whoever_is_stopped_after_looking_into_the_set_finds_that_it_was_too_old() -> None:
    """The feed is read again as soon as the process goes on, and before the one that had looked does."""
    clock = Clock()
    stopped = False

    def thaw() -> float:
        if stopped:
            clock.now = 200.0
            suppression.catch_up(0, feed(1, (1, "a")), read_started=clock.now)
        return clock.now

    suppression = SuppressionSet(thaw)
    suppression.catch_up(0, feed(0), read_started=clock.now)
    assert suppression.obstacle("a", 1.0) is None
    stopped = True
    assert suppression.obstacle("a", 1.0) == "stale_feed"
    assert suppression.obstacle("a", 1.0) == "suppressed"
    assert suppression.obstacle("b", 1.0) is None


def test_nothing_read_is_stale() -> None:
    suppression = SuppressionSet()
    assert suppression.is_stale(1e9)
    assert suppression.age_seconds() == math.inf


def test_in_another_timeline_the_feed_is_read_from_zero_however_far_it_has_come() -> None:
    suppression = SuppressionSet(Clock())
    suppression.catch_up(0, feed(10, (10, "before"), timeline="a"), read_started=100.0)
    assert suppression.cursor == 10
    # Who was accepted under 11 and 12 is not in what was asked for, and under 10 there is somebody else now.
    assert suppression.catch_up(10, feed(13, (13, "new"), timeline="b"), read_started=100.0) == {"new"}
    assert (suppression.cursor, suppression.epoch) == (0, 0)
    assert suppression.is_stale(1e9)
    everybody = feed(13, (10, "other"), (12, "more"), (13, "new"), timeline="b")
    assert suppression.catch_up(0, everybody, read_started=100.0) == {"other", "more"}
    assert (suppression.cursor, suppression.epoch) == (13, 13)
    assert not suppression.is_stale(1.0)
    assert set(suppression.epochs()) == {"before", "new", "other", "more"}


def test_a_feed_that_nobody_vouches_for_ends_the_lease_and_moves_nothing() -> None:
    suppression = SuppressionSet(Clock())
    suppression.catch_up(0, feed(10, (10, "before")), read_started=100.0)
    assert not suppression.is_stale(1.0)
    assert suppression.catch_up(10, feed(11, (11, "new"), vouched=False), read_started=100.0) == {"new"}
    assert suppression.is_stale(1e9)
    assert (suppression.cursor, suppression.epoch) == (10, 10)


def test_the_lease_counts_from_the_start_of_the_read() -> None:
    clock = Clock()
    suppression = SuppressionSet(clock)
    clock.now = 108.0
    suppression.catch_up(0, feed(0), read_started=100.0)
    assert suppression.age_seconds() == 8.0
    assert suppression.is_stale(5.0)
    assert not suppression.is_stale(8.0)
    clock.now = 108.5
    assert suppression.is_stale(8.0)


def test_lapse_ends_the_lease_until_the_next_read() -> None:
    clock = Clock()
    suppression = SuppressionSet(clock)
    suppression.catch_up(0, feed(0), read_started=100.0)
    suppression.lapse()
    assert suppression.is_stale(1e9)
    suppression.catch_up(0, feed(0), read_started=100.0)
    assert not suppression.is_stale(1.0)


def test_catch_up_names_only_the_new_subjects() -> None:
    suppression = SuppressionSet()
    assert suppression.catch_up(0, feed(2, (1, "a"), (2, "b")), read_started=0.0) == {"a", "b"}
    assert suppression.catch_up(2, feed(3, (2, "b"), (3, "c")), read_started=1.0) == {"c"}
    assert (suppression.cursor, suppression.epoch, len(suppression)) == (3, 3, 3)


def test_a_local_accept_counts_at_once_but_does_not_hide_an_earlier_epoch_of_another_replica() -> None:
    suppression = SuppressionSet()
    suppression.catch_up(0, feed(5), read_started=0.0)
    assert suppression.apply(7, "mine")
    assert not suppression.apply(7, "mine")
    assert "mine" in suppression
    assert (suppression.cursor, suppression.epoch) == (0, 5)
    assert suppression.catch_up(0, feed(7, (6, "theirs"), (7, "mine")), read_started=1.0) == {"theirs"}
    assert (suppression.cursor, suppression.epoch) == (7, 7)


def test_an_epoch_that_stands_for_no_suppression_still_counts_as_covered() -> None:
    suppression = SuppressionSet()
    suppression.catch_up(0, feed(9, (4, "a")), read_started=0.0)
    assert (suppression.cursor, suppression.epoch) == (4, 9)


def test_a_promise_that_came_too_early_is_repaired_by_the_next_read() -> None:
    suppression = SuppressionSet()
    suppression.catch_up(0, feed(2, (1, "a")), read_started=0.0)
    assert suppression.cursor == 1
    suppression.catch_up(suppression.cursor, feed(2, (2, "late")), read_started=1.0)
    assert "late" in suppression


def test_a_read_from_beyond_the_cursor_is_merged_but_vouches_for_nothing() -> None:
    suppression = SuppressionSet(Clock())
    assert suppression.catch_up(3, feed(4, (4, "d")), read_started=100.0) == {"d"}
    assert "d" in suppression
    assert (suppression.cursor, suppression.epoch) == (0, 0)
    assert suppression.is_stale(1e9)


def test_an_answer_that_arrives_late_moves_nothing_back() -> None:
    clock = Clock()
    suppression = SuppressionSet(clock)
    suppression.catch_up(0, feed(3, (1, "a"), (3, "c")), read_started=99.0)
    suppression.catch_up(0, feed(1, (1, "a")), read_started=98.0)
    assert (suppression.cursor, suppression.epoch) == (3, 3)
    assert suppression.age_seconds() == 1.0


def test_a_database_put_back_to_an_older_state_forgets_nobody_and_is_read_anew() -> None:
    clock = Clock()
    suppression = SuppressionSet(clock)
    suppression.catch_up(0, feed(3, (1, "a"), (2, "b"), (3, "c")), read_started=100.0)
    clock.now = 110.0
    suppression.catch_up(3, feed(1), read_started=110.0)
    assert suppression.is_stale(5.0), "the restored database has not been read in full yet"
    assert suppression.cursor == 0
    # Epoch 2 is handed out a second time, to someone else.
    assert suppression.catch_up(0, feed(2, (1, "a"), (2, "new")), read_started=110.0) == {"new"}
    assert all(subject in suppression for subject in ("a", "b", "c", "new"))
    assert not suppression.is_stale(5.0)


def test_epochs_start_at_one() -> None:
    with pytest.raises(ValueError, match="starts at 1"):
        SuppressionSet().apply(0, "a")


class FeedOrdering(RuleBasedStateMachine):
    """One database, one replica; reads overtake each other, are repeated, and get lost."""

    @initialize()
    def start(self) -> None:
        self.clock = Clock()
        self.suppression = SuppressionSet(self.clock)
        self.epoch = 0
        self.table: dict[int, str] = {}
        self.subjects = 0
        self.under_way: list[tuple[int, ControlState, float]] = []
        self.learnt: set[str] = set()
        self.committed_at: dict[str, float] = {}

    @rule(ticks=st.integers(0, 2), local=st.booleans())
    def accept(self, ticks: int, local: bool) -> None:
        """A commit, on this replica or another; the epoch also ticks for other reasons."""
        self.clock.now += 1
        self.epoch += ticks + 1
        self.subjects += 1
        subject = f"s{self.subjects}"
        self.table[self.epoch] = subject
        self.committed_at[subject] = self.clock.now
        if local:
            self.suppression.apply(self.epoch, subject)
            self.learnt.add(subject)

    @rule()
    def begin_read(self) -> None:
        self.clock.now += 1
        after = self.suppression.cursor
        rows = tuple((epoch, subject) for epoch, subject in self.table.items() if epoch > after)
        self.under_way.append((after, feed(self.epoch, *rows), self.clock.now))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), repeat=st.booleans())
    def finish_read(self, data: st.DataObject, repeat: bool) -> None:
        self.clock.now += 1
        index = data.draw(st.integers(0, len(self.under_way) - 1))
        after, state, started = self.under_way[index] if repeat else self.under_way.pop(index)
        self.suppression.catch_up(after, state, read_started=started)
        self.learnt |= {subject for _, subject in state.suppressed}

    @precondition(lambda self: self.under_way)
    @rule()
    def lose_reads(self) -> None:
        self.under_way.clear()

    @invariant()
    def nobody_learnt_is_ever_lifted(self) -> None:
        assert all(subject in self.suppression for subject in getattr(self, "learnt", ()))

    @invariant()
    def the_promise_is_kept(self) -> None:
        """Everyone at or below the reported epoch is suppressed here: that is what the report says."""
        if hasattr(self, "table"):
            promised = {subject for epoch, subject in self.table.items() if epoch <= self.suppression.epoch}
            assert all(subject in self.suppression for subject in promised)

    @invariant()
    def the_lease_vouches_for_what_it_says(self) -> None:
        """Everyone committed before the read that the lease counts from had started is suppressed here."""
        if hasattr(self, "table"):
            fresh_as_of = self.clock.now - self.suppression.age_seconds()
            vouched = {subject for subject, at in self.committed_at.items() if at <= fresh_as_of}
            assert all(subject in self.suppression for subject in vouched)


TestFeedOrdering = FeedOrdering.TestCase
TestFeedOrdering.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
