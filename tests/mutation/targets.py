"""What is mutated: the pure core, each file with the unit tests that are about it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]

_GATE, _POLICY = "tests/unit/unlearning/gate", "tests/unit/unlearning/policy"
_CLOCK = "tests/unit/app/clock"
_UCAN = "tests/unit/unlearning/methods/ladder/ucan"
_DECISION = tuple(f"{_GATE}/test_{name}.py" for name in ("decision", "decision_together", "decision_draws"))

TARGETS: dict[str, tuple[str, ...]] = {
    "unlearning/gate/decision.py": (*_DECISION, f"{_GATE}/test_decision_edges.py", f"{_GATE}/test_checks.py"),
    "unlearning/gate/band.py": (f"{_GATE}/test_band.py", *_DECISION),
    "unlearning/gate/batch.py": (f"{_GATE}/test_batch.py", f"{_GATE}/test_decision_together.py"),
    "unlearning/gate/checks.py": (f"{_GATE}/test_checks.py", *_DECISION),
    "unlearning/gate/utility.py": (*_DECISION, f"{_GATE}/test_label_utility.py"),
    "unlearning/gate/verdict.py": _DECISION,
    "unlearning/policy/strata.py": (f"{_POLICY}/test_policy.py", *_DECISION),
    "unlearning/policy/skipping.py": (f"{_POLICY}/test_skipping.py",),
    "unlearning/policy/consolidation.py": (f"{_POLICY}/test_consolidation.py",),
    "app/transitions.py": ("tests/unit/app/test_transitions.py",),
    "app/runs/states.py": ("tests/unit/app/runs/test_run_states.py",),
    "app/clock/deadlines.py": (f"{_CLOCK}/test_deadlines_by_regime.py",),
    "app/clock/prediction.py": (f"{_CLOCK}/test_prediction.py",),
    "app/clock/thresholds.py": (f"{_CLOCK}/test_thresholds.py",),
    "app/clock/zones.py": (f"{_CLOCK}/test_deadlines_by_regime.py",),
    "app/forget_requests/deadlines.py": ("tests/unit/app/test_deadlines.py",),
    "app/db/timeline.py": ("tests/unit/app/test_timeline.py",),
    "unlearning/methods/ladder/ucan/scores.py": (f"{_UCAN}/test_scores.py",),
    "unlearning/methods/ladder/ucan/factors.py": (f"{_UCAN}/test_factors.py", f"{_UCAN}/test_ucan.py"),
    "unlearning/methods/ladder/ucan/basis.py": (f"{_UCAN}/test_basis.py",),
}


def module_of(path: str) -> str:
    """The name under which the file is imported."""
    return path.removesuffix(".py").replace("/", ".")
