"""`lethe bench accept --beside recommendations`: which answer is the last personalised one, and whose time counts."""

import pytest

from benchmarks.accept_on_replicas import ONE_FOLLOWED_OF, accepted_at, answered, followed_places
from benchmarks.serve.open_loop import BROKEN, Outcome, Plan
from benchmarks.service.suppression import Seen, summary
from benchmarks.service.timed import NO_ANSWER

PERSONAL = {"personalised": True, "fallback_reason": None}
SUPPRESSED = {"personalised": False, "fallback_reason": "suppressed"}
LAPSED = {"personalised": False, "fallback_reason": "stale_replica"}


def seen(*answers: tuple[int, dict[str, object], float]) -> Seen:
    one = Seen()
    for replica, answer, now in answers:
        one.note(replica, answer, now)
    return one


def test_seconds_end_with_the_last_personalised_answer_from_any_replica() -> None:
    found = summary(
        {"late": 10.0, "early": 10.0, "again": 10.0, "always": 10.0, "never": 10.0},
        {
            "late": seen(
                (0, PERSONAL, 10.1), (0, SUPPRESSED, 10.2), (1, PERSONAL, 10.75), (1, SUPPRESSED, 10.8)
            ),
            "early": seen(
                (0, PERSONAL, 9.0), (1, PERSONAL, 9.5), (0, SUPPRESSED, 10.0), (1, SUPPRESSED, 10.0)
            ),
            # A replica that personalises again is not done, and one that lapsed has not heard of the request.
            "again": seen((0, SUPPRESSED, 10.1), (1, SUPPRESSED, 10.1), (0, PERSONAL, 10.2)),
            "always": seen((0, PERSONAL, 10.1), (0, SUPPRESSED, 10.2), (1, LAPSED, 10.2)),
            "never": seen((0, SUPPRESSED, 10.1), (1, SUPPRESSED, 10.1)),
            "refused": seen((0, PERSONAL, 10.1), (1, PERSONAL, 10.1)),
        },
        replicas=2,
    )
    assert {name: found[name] for name in ("users", "not_accepted", "not_suppressed", "never_personalised")} == {
        "users": 6, "not_accepted": 1, "not_suppressed": 2, "never_personalised": 1,
    }  # fmt: skip
    assert (found["count"], found["p50"], found["max"]) == (2, 0.0, 0.75)


def test_answers_are_matched_with_those_who_asked() -> None:
    followed = {place: f"user of {place}" for place in followed_places([ONE_FOLLOWED_OF + 1, 1])}
    assert list(followed) == [(0, 0), (0, ONE_FOLLOWED_OF), (1, 0)]
    # Answers come in another order than requests.
    outcomes = [
        Outcome([202, 202, 503], [ONE_FOLLOWED_OF, 1, 0], [0.1, 0.2, 0.3], [5.0, 6.0, 7.0]),
        Outcome([BROKEN], [0], [0.4], [8.0]),
    ]
    assert accepted_at(outcomes, followed) == {followed[0, ONE_FOLLOWED_OF]: 5.0}
    assert answered(outcomes).summary()["statuses"] == {"202": 2, "503": 1, NO_ANSWER: 1}


def test_a_plan_says_when_its_requests_are_due_before_it_is_sent() -> None:
    plan = Plan("h", 1, (), connections=1, seconds=40.0, per_second=50.0, seed=3)
    due = list(plan.due())
    assert due == list(plan.due()) == sorted(due)
    assert 0 < due[0] < due[-1] <= 40.0
    assert len(due) == pytest.approx(2000, abs=200)
