import json
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.unlearning.examples import POLICY
from unlearning import (
    ConsolidationBudget,
    EvaluationConfig,
    Policy,
    Rung,
    Search,
    Skipping,
    build_method,
    default_policy,
)
from unlearning.errors import InvalidPolicy
from unlearning.gate.verdict import worst
from unlearning.policy.strata import Stratum

MEASURED = json.loads(POLICY.to_json())["evaluation"]
CHECKS = (
    "held_out_margin",
    "wide_held_out_margin",
    "neighbour_margin",
    "relearning_margin",
    "tail_z",
)


def _searching(field: str, **config: float) -> Rung:
    return Rung("ucan", dict(config), Search(field, 0.5, 20.0))


def test_the_committed_policy_is_valid_and_ends_with_an_exact_method() -> None:
    policy = default_policy()
    methods = [build_method(rung.method, rung.config) for rung in policy.ladder]
    assert [method.name for method in methods] == [
        "ucan", "least_change_output", "least_change", "least_change", "refit"
    ]  # fmt: skip
    assert len(set(map(repr, methods))) == len(methods)
    assert methods[-1].card.exact
    assert policy.name == "default-6"


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
        {"strata": (Stratum(1, False),)},
        {"utility_margin": 0.2},
        {"ladder": (Rung("refit"),)},
        {"ladder": (Rung("ucan", {"threshold": 0.9}), Rung("refit"))},
        {"ladder": (_searching("gamma"), Rung("refit"))},
        {"evaluation": EvaluationConfig(smoothing=0.1)},
        {"evaluation": EvaluationConfig(neighbours=10)},
        {"evaluation": EvaluationConfig(relearning_steps=4)},
        *({name: value} for name, value in zip(CHECKS, (0.2, 0.4, 0.3, 0.6, 2.9), strict=True)),
        {"consolidation": ConsolidationBudget(max_attenuations=None)},
        {"exact_draws": 2},
        {"skipping": None},
        {"skipping": Skipping(min_runs=3)},
        {"ladder": (Rung("ucan", always=True), Rung("refit"))},
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
        ({"ladder": (_searching("magic"),)}, "rung 1 of the ladder: ucan has no field magic"),
        ({"ladder": (_searching("threshold"),)}, "rung 1 of the ladder: threshold must lie"),
        ({"ladder": (_searching("gap"),)}, "rung 1 of the ladder: ucan.gap is no number with a middle"),
        (
            {"ladder": (_searching("hard_prune"),)},
            "rung 1 of the ladder: ucan.hard_prune is no number with a middle",
        ),
        (
            {"ladder": (Rung("gradient_ascent", {}, Search("steps", 1.0, 20.0)),)},
            "gradient_ascent.steps is no number with a middle .*; those of gradient_ascent are: lr",
        ),
        ({"exact_draws": 0}, "exact_draws must be at least 1"),
        ({"ladder": (_searching("gamma", gamma=3.0),)}, "gamma is searched, so leave it out"),
        ({"ladder": (Rung("refit", {}, Search("epochs", 1.0, 2.0)),)}, "refit is exact"),
        ({"membership_z": 0.0}, "membership_z must be greater"),
        ({"membership_z": float("nan")}, "membership_z must be greater"),
        ({"reference_error": -0.1}, "reference_error must be at least 0"),
        ({"reference_error": float("nan")}, "reference_error must be at least 0"),
        ({"min_power": 1.9}, "min_power must be at least membership_z"),
        ({"memory_variation": -1.0}, "memory_variation must be at least 0"),
        ({"exact_alarm_z": 1.0}, "exact_alarm_z"),
        ({"utility_margin": 0.0}, "utility_margin must be greater"),
        ({"utility_confidence": 0.5}, "utility_confidence must be between"),
        ({"min_reference_users": 0}, "min_reference_users must be at least 1"),
        ({"wide_held_out_margin": 0.05}, "wide_held_out_margin must be at least held_out_margin"),
        ({"neighbour_margin": 0.0}, "neighbour_margin must be greater"),
        ({"relearning_margin": -0.5}, "relearning_margin must be greater"),
        ({"tail_z": float("nan")}, "tail_z must be greater"),
        ({"strata": ()}, "nothing about histories of any length"),
        ({"strata": (Stratum(3, True),)}, "nothing about histories of fewer than 3 training items"),
        ({"strata": (Stratum(1, True), Stratum(1, False))}, "at ever more items"),
        ({"utility_resamples": 0}, "utility_resamples must be at least 1"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message):
        replace(POLICY, **change)


def _edited(**changes: Any) -> str:
    return json.dumps(json.loads(POLICY.to_json()) | changes)


def _without(name: str) -> str:
    return json.dumps({key: value for key, value in json.loads(POLICY.to_json()).items() if key != name})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not JSON"),
        ("[]", "not a policy of schema"),
        (_edited(schema="lethe.policy/2"), "not a policy of schema lethe.policy/3"),
        (_edited(ladder=[{"config": {}}]), r"policy.ladder\[0\] lacks method"),
        (_edited(ladder=[{"method": "ucan", "search": {"field": "gamma"}}]), "search lacks low, high"),
        (
            _edited(ladder=[{"method": "ucan", "search": {"field": "gamma", "low": 3, "high": 2}}]),
            "low must be less than high",
        ),
        (_edited(membership_z="2"), "policy.membership_z must be float"),
        (_edited(spare=1), "policy has no field spare"),
        (
            _edited(evaluation={"smoothing": 0.2}),
            "policy.evaluation lacks bins, tail_items, max_retained, neighbours, relearning_steps",
        ),
        (_edited(evaluation=3), "policy.evaluation lacks smoothing"),
        (
            _edited(evaluation=MEASURED | {"smoothing": 2, "max_retained": None}),
            "policy.evaluation: smoothing must lie",
        ),
        (
            _edited(evaluation=MEASURED | {"neighbours": -1}),
            "policy.evaluation: neighbours must be at least 0",
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
        (_edited(tail_z=None), "policy.tail_z must be float"),
        (_without("exact_draws"), "lacks exact_draws"),
        (_without("skipping"), "lacks skipping"),
        (
            _edited(skipping={"min_runs": 3}),
            "policy.skipping lacks max_pass_share, confidence, try_again_every",
        ),
        (_edited(ladder=[{"method": "ucan", "always": 1}]), r"policy.ladder\[0\].always must be bool"),
        *((_without(name), f"lacks {name}") for name in CHECKS),
        (_without("min_reference_users"), "lacks min_reference_users"),
    ],
)
def test_a_policy_file_is_read_strictly(text: str, message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message):
        Policy.from_json(text)


def test_a_rung_may_leave_out_what_has_a_default() -> None:
    text = _edited(
        ladder=[{"method": "ucan", "search": {"field": "gamma", "low": 1, "high": 2}}, {"method": "refit"}]
    )
    searching, exact = Policy.from_json(text).ladder
    assert (searching.config, searching.search) == ({}, Search("gamma", 1.0, 2.0, steps=5, scale="log"))
    assert exact == Rung("refit", {}, None, always=False)


def test_a_policy_may_try_every_rung_in_every_run() -> None:
    assert Policy.from_json(_edited(skipping=None)).skipping is None


def test_the_worst_decision_decides() -> None:
    assert worst(["pass", "inconclusive", "fail"]) == "fail"
    assert worst(["pass", "inconclusive"]) == "inconclusive"
    assert worst(["pass"]) == "pass"
    assert worst([]) == "inconclusive"
