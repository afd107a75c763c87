"""When a run skips a rung because of the rung's record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy.stats import binomtest

from app.attempts import queries as attempts
from unlearning import Skipping, TrackRecord, why_skip
from unlearning.errors import InvalidPolicy
from unlearning.policy.skipping import MOST_RUNS, highest_share, wilson

RULES = Skipping(min_runs=12, max_pass_share=0.2, confidence=0.95, try_again_every=20)
HOPELESS = TrackRecord(
    runs=33,
    passed=1,
    passed_last=False,
    seconds=3.0,
    seconds_after=5.0,
    same_fit=True,
    skipped_since=0,
)


@pytest.mark.parametrize(("passed", "runs"), [(0, 1), (1, 1), (0, 12), (3, 12), (25, 50), (199, 200)])
def test_the_interval_is_a_librarys_where_that_has_one(passed: int, runs: int) -> None:
    library = binomtest(passed, runs).proportion_ci(0.95, method="wilson")
    assert wilson(passed / runs, runs, 1.959963984540054) == pytest.approx((library.low, library.high))
    # Ten trials that count for four and a half say less than five would.
    assert wilson(0.5, 4.5, 1.96)[1] > wilson(0.5, 5, 1.96)[1]


def test_the_bound_is_wilsons() -> None:
    """By hand, z = 1.6449: (0 + z^2 / 24) / (1 + z^2 / 12) + z^2 / 24 / (1 + z^2 / 12) for none of twelve."""
    z2 = 1.6448536269514722**2
    assert highest_share(0, 12, 0.95) == pytest.approx((z2 / 12) / (1 + z2 / 12))
    assert highest_share(12, 12, 0.95) == pytest.approx(1.0)
    assert highest_share(1, 33, 0.95) == pytest.approx(0.1246, abs=5e-4)


def test_a_rung_that_hardly_ever_passes_and_costs_more_than_it_saves_is_skipped() -> None:
    why = why_skip(HOPELESS, RULES)
    assert why is not None
    assert "passed in 1 of the last 33 runs" in why
    assert "12%" in why
    assert "3.0 s" in why
    # 12.46 % of the 5 s that it saves where it passes.
    assert "0.6 s" in why


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"runs": 11, "passed": 0}, "too few runs have tried it"),
        ({"passed": 7}, "it may pass in more than a fifth of the runs"),
        ({"passed_last": True}, "it passed last time"),
        ({"same_fit": False}, "the version is another fit by now"),
        ({"skipped_since": 19}, "nineteen runs did without it"),
        ({"seconds_after": 90.0}, "an eighth of a re-fit is more than it costs"),
    ],
)
def test_it_is_tried_where_it_may_be_worth_it(change: dict[str, float], because: str) -> None:
    assert why_skip(replace(HOPELESS, **change), RULES) is None, because


@pytest.mark.parametrize("change", [{"runs": 12, "passed": 0}, {"skipped_since": 18}])
def test_it_is_skipped_up_to_the_ends_of_the_rule(change: dict[str, float]) -> None:
    assert why_skip(replace(HOPELESS, **change), RULES) is not None


def test_what_just_reaches_a_bound_is_tried() -> None:
    share = highest_share(HOPELESS.passed, HOPELESS.runs, RULES.confidence)
    assert why_skip(HOPELESS, replace(RULES, max_pass_share=share)) is None
    # It costs just what it may save.
    assert why_skip(replace(HOPELESS, seconds=share * HOPELESS.seconds_after), RULES) is None


def test_a_rung_that_was_never_worth_its_time_before_a_refit_is_skipped_in_the_end() -> None:
    """3 s against 90 s: the rung pays as long as it may pass in one run of thirty."""
    never = replace(HOPELESS, passed=0, seconds_after=90.0)
    assert why_skip(replace(never, runs=75), RULES) is None
    assert why_skip(replace(never, runs=80), RULES) is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_runs": 0}, "skipping.min_runs must be at least 1"),
        ({"try_again_every": 0}, "skipping.try_again_every must be at least 1"),
        ({"max_pass_share": 0.0}, "skipping.max_pass_share must be above 0"),
        ({"max_pass_share": 1.1}, "skipping.max_pass_share must be above 0"),
        ({"confidence": 0.5}, "skipping.confidence must be between"),
        ({"confidence": 1.0}, "skipping.confidence must be between"),
        ({"confidence": float("nan")}, "skipping.confidence must be between"),
    ],
)
def test_rules_that_make_no_sense_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message):
        replace(RULES, **change)


def test_a_record_holds_as_many_runs_as_the_rule_may_ask_for() -> None:
    assert attempts._RUNS_TOLD == MOST_RUNS
    with pytest.raises(InvalidPolicy, match="at most 50"):
        Skipping(min_runs=MOST_RUNS + 1)


@pytest.mark.parametrize(
    "change", [{"min_runs": 1}, {"min_runs": MOST_RUNS}, {"try_again_every": 1}, {"max_pass_share": 1.0}]
)
def test_rules_at_the_ends_of_what_makes_sense_are_taken(change: dict[str, float]) -> None:
    assert replace(RULES, **change) != RULES


def test_the_rules_of_a_policy_that_names_none() -> None:
    assert Skipping() == RULES
