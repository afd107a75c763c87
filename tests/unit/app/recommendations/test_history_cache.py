"""Histories in memory: none that has changed is given out or kept, and none that nobody has looked at for the lease."""

from __future__ import annotations

from app.recommendations.history_cache import History, HistoryCache

LEASE = 1.0
ALICE, BOB = "a" * 64, "b" * 64


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def history(*items: int) -> History:
    return History(items, items)


def cache(most_events: int = 100) -> tuple[HistoryCache, Clock]:
    clock = Clock()
    made = HistoryCache(most_events, LEASE, clock)
    made.looked(clock.now)
    return made, clock


def store(made: HistoryCache, subject: str, *items: int) -> None:
    made.keep(made.begin(subject), history(*items))


def test_what_was_read_is_given_out_until_the_subject_is_told_to_have_changed() -> None:
    made, _ = cache()
    store(made, ALICE, 1, 2)
    store(made, BOB, 3)
    assert made.get(ALICE) == history(1, 2)
    made.forget([ALICE])
    assert made.get(ALICE) is None
    assert made.get(BOB) == history(3)
    made.clear()
    assert len(made) == 0


def test_nothing_is_given_out_once_nobody_has_looked_for_the_lease() -> None:
    made, clock = cache()
    store(made, ALICE, 1)
    clock.now += LEASE
    assert made.get(ALICE) == history(1)
    clock.now += 0.001
    assert made.get(ALICE) is None
    made.looked(clock.now)
    assert made.get(ALICE) == history(1)


def test_before_the_first_look_nothing_is_given_out() -> None:
    made = HistoryCache(100, LEASE, Clock())
    store(made, ALICE, 1)
    assert made.get(ALICE) is None


def test_a_late_look_does_not_shorten_what_a_newer_one_has_found() -> None:
    made, clock = cache()
    made.looked(clock.now - 50)
    store(made, ALICE, 1)
    assert made.get(ALICE) == history(1)


def test_a_history_that_changed_while_it_was_read_is_not_kept() -> None:
    made, _ = cache()
    for change in (lambda: made.forget([ALICE]), made.clear):
        reading = made.begin(ALICE)
        change()
        made.keep(reading, history(1))
        assert made.get(ALICE) is None
    # Whoever begins to read after the change is not concerned.
    early = made.begin(ALICE)
    made.forget([ALICE])
    late = made.begin(ALICE)
    made.keep(late, history(1, 2))
    made.keep(early, history(1))
    assert made.get(ALICE) == history(1, 2)


def test_a_reading_that_failed_leaves_nothing_behind() -> None:
    made, _ = cache()
    reading = made.begin(ALICE)
    assert made.in_use
    made.drop(reading)
    assert not made.in_use


def test_the_least_recently_used_go_when_there_are_too_many_events() -> None:
    made, _ = cache(most_events=5)
    store(made, ALICE, 1, 2)
    store(made, BOB, 3, 4)
    assert made.get(ALICE) is not None
    store(made, "c" * 64, 5, 6)
    assert made.get(BOB) is None
    assert made.get(ALICE) is not None
    store(made, "d" * 64, *range(6))
    assert made.get("d" * 64) is None
    assert len(made) == 2


def test_a_history_that_is_stored_twice_counts_once() -> None:
    made, _ = cache(most_events=4)
    store(made, ALICE, 1, 2)
    store(made, ALICE, 1, 2, 3)
    store(made, BOB, 9)
    assert (made.get(ALICE), made.get(BOB)) == (history(1, 2, 3), history(9))


def test_nothing_is_kept_for_more_than_a_minute_however_often_somebody_looks() -> None:
    made, clock = cache()
    store(made, ALICE, 1)
    clock.now += 61
    made.looked(clock.now)
    assert made.get(ALICE) is None
