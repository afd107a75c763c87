import json
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.unlearning.examples import POLICY
from unlearning import ConsolidationBudget, EvaluationConfig, Policy, Rung, build_method, default_policy
from unlearning.errors import InvalidPolicy
from unlearning.verdict import worst


def test_the_committed_policy_is_valid_and_ends_with_an_exact_method() -> None:
    policy = default_policy()
    methods = [build_method(rung.method, rung.config) for rung in policy.ladder]
    assert [method.name for method in methods] == ["ucan", "ucan", "refit"]
    assert methods[0] != methods[1]
    assert methods[-1].exact


def test_the_hash_names_the_content() -> None:
    policy = default_policy()
    assert Policy.from_json(policy.to_json()) == policy
    shuffled = json.dumps(dict(reversed(json.loads(policy.to_json()).items())), indent=3)
    assert Policy.from_json(shuffled).hash == policy.hash
    assert len(policy.hash) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"membership_z": 2.1},
        {"utility_margin": 0.2},
        {"ladder": (Rung("refit"),)},
        {"ladder": (Rung("ucan", {"threshold": 0.9}), Rung("refit"))},
        {"evaluation": EvaluationConfig(smoothing=0.1)},
        {"consolidation": ConsolidationBudget(max_attenuations=None)},
    ],
)
def test_every_change_changes_the_hash(change: dict[str, Any]) -> None:
    assert replace(POLICY, **change).hash != POLICY.hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ladder": ()}, "ladder is empty"),
        ({"ladder": (Rung("refit"), Rung("magic"))}, "rung 2 of the ladder: no method 'magic'"),
        ({"ladder": (Rung("ucan", {"gamma": 0.0}),)}, "rung 1 of the ladder: gamma"),
        ({"membership_z": 0.0}, "membership_z must be greater"),
        ({"membership_z": float("nan")}, "membership_z must be greater"),
        ({"reference_error": -0.1}, "reference_error must be at least 0"),
        ({"reference_error": float("nan")}, "reference_error must be at least 0"),
        ({"min_power": 1.9}, "min_power must be at least membership_z"),
        ({"memory_variation": -1.0}, "memory_variation must be at least 0"),
        ({"exact_alarm_z": 1.0}, "exact_alarm_z"),
        ({"utility_margin": 0.0}, "utility_margin must be greater"),
        ({"utility_confidence": 0.5}, "utility_confidence must be between"),
        ({"min_items": 0}, "min_items must be at least 1"),
        ({"utility_resamples": 0}, "utility_resamples must be at least 1"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message):
        replace(POLICY, **change)


def _edited(**changes: Any) -> str:
    return json.dumps(json.loads(POLICY.to_json()) | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not JSON"),
        ("[]", "not a policy of schema"),
        (_edited(schema="lethe.policy/9"), "not a policy of schema"),
        (_edited(membership_z="2"), "policy.membership_z must be float"),
        (_edited(spare=1), "policy has no field spare"),
        (
            _edited(evaluation={"smoothing": 0.2}),
            "policy.evaluation lacks bins, tail_items, max_retained",
        ),
        (_edited(evaluation=3), "policy.evaluation lacks smoothing"),
        (
            _edited(evaluation={"smoothing": 2, "bins": 1, "tail_items": 1, "max_retained": None}),
            "policy.evaluation: smoothing must lie",
        ),
        (
            _edited(consolidation={"max_attenuations": 3}),
            "policy.consolidation lacks max_attenuated_subjects, max_age_days, max_utility_loss",
        ),
        (
            _edited(
                consolidation={
                    "max_attenuated_subjects": 0,
                    "max_attenuations": None,
                    "max_age_days": 1,
                    "max_utility_loss": None,
                }
            ),
            "consolidation.max_attenuated_subjects must be greater than 0",
        ),
        (
            json.dumps({k: v for k, v in json.loads(POLICY.to_json()).items() if k != "min_items"}),
            "lacks min_items",
        ),
    ],
)
def test_a_policy_file_is_read_strictly(text: str, message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message):
        Policy.from_json(text)


def test_the_worst_decision_decides() -> None:
    assert worst(["pass", "inconclusive", "fail"]) == "fail"
    assert worst(["pass", "inconclusive"]) == "inconclusive"
    assert worst(["pass"]) == "pass"
    assert worst([]) == "inconclusive"
