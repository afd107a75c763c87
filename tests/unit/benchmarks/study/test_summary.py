from typing import Any

import pytest

from benchmarks.study.summary import Terms, pooled_shadow_attack, regime_of, summary


def test_rows_are_taken_together_by_scenario_requests_and_method() -> None:
    rows: list[dict[str, Any]] = [
        {"scenario": "users-5", "method": "npo", "seed": 0, "kl": 1.0, "run_decision": "fail"},
        {"scenario": "users-5", "method": "npo", "seed": 1, "kl": 3.0, "run_decision": "pass"},
        {"scenario": "sequence", "requests": 5, "method": "npo", "seed": 0, "kl": None},
    ]
    batch, walk = summary(rows)
    assert (batch["scenario"], batch["requests"], batch["rows"]) == ("users-5", None, 2)
    assert batch["figures"] == {
        "kl": {"mean": 2.0, "deviation": pytest.approx(2**0.5), "lowest": 1.0, "highest": 3.0}
    }
    assert (walk["requests"], walk["figures"]) == (5, {})


def test_the_shadow_attack_pools_the_subjects_of_all_seeds() -> None:
    def row(seed: int, subjects: list[float], outsiders: list[float]) -> dict[str, Any]:
        return {
            "method": "npo",
            "seed": seed,
            "lira.subject_scores": subjects,
            "lira.outsider_scores": outsiders,
        }

    rows = [row(0, [3.0], [1.0, 2.0]), row(1, [1.5], [0.0, 4.0]), {"method": "refit", "seed": 0}]
    found = pooled_shadow_attack(rows)
    # 3 beats 1, 2 and 0; 1.5 beats 1 and 0: five of the eight pairs.
    assert found["npo"]["auc"] == pytest.approx(5 / 8)
    assert (found["npo"]["subjects"], found["npo"]["outsiders"]) == (2, 4)
    assert "refit" not in found


def test_the_regime_by_hand() -> None:
    def row(method: str, test: float, forget: float, scenario: str = "users-5") -> dict[str, Any]:
        return {"scenario": scenario, "method": method, "test_recall@10": test, "forget_recall@10": forget}

    rows = [
        row("do_nothing", 0.9, 0.9, "users-1"),
        row("do_nothing", 0.12, 0.36),
        row("do_nothing", 0.10, 0.40),
        row("drop_adapter", 0.05, 0.05),
        row("refit", 0.11, 0.19),
    ]
    found = regime_of(rows)
    assert found["test_recall_original_over_base"] == pytest.approx(2.2)
    assert found["member_recall_original_over_refit"] == pytest.approx(2.0)
    assert found["holds"] is True
    assert regime_of(rows[:4])["holds"] is None
    assert regime_of([*rows, row("refit", 0.1, 0.9)])["holds"] is False


def test_another_style_goes_by_figures_and_ratios_of_its_own() -> None:
    terms = Terms("held_out_recall@1", "forget_recall@1", held_out_ratio=1.0, own_tail_ratio=1.5)

    def row(method: str, held_out: float, forget: float) -> dict[str, Any]:
        figures = {"held_out_recall@1": held_out, "forget_recall@1": forget}
        return {"scenario": "interactions-25", "method": method, "test_recall@10": 1.0, **figures}

    rows = [row("do_nothing", 0.3, 0.8), row("drop_adapter", 0.1, 0.1), row("refit", 0.2, 0.4)]
    found = regime_of(rows, terms)
    assert found["test_recall_original_over_base"] == pytest.approx(3.0)
    assert found["member_recall_original_over_refit"] == pytest.approx(2.0)
    assert (found["own_tail"], found["holds"]) == ("forget_recall@1", True)
    assert regime_of([{**rows[0], "held_out_recall@1": None}, *rows[1:]], terms)["holds"] is None
