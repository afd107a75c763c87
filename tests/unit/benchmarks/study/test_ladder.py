from benchmarks.study.ladder import ladder_outcomes, rungs
from benchmarks.study.variants import Variant
from unlearning import default_policy


def row(method: str, *, publishable: bool = False, **more: object) -> dict[str, object]:
    return {"scenario": "users-5", "deletion": "one", "method": method, "publishable": publishable, **more}


CLIMBED = [Variant("first", "ucan", {}), Variant("second", "least_change", {}), Variant("third", "npo", {})]


def test_the_ladder_ends_at_the_first_rung_that_is_let_through() -> None:
    rows = [
        row("first", seconds=1.0),
        row("second", seconds=2.0, publishable=True),
        row("third", seconds=4.0, publishable=True),
        row("refit", seconds=8.0, publishable=True),
    ]
    (found,) = ladder_outcomes(rows, CLIMBED)
    assert found["ends_at"] == "second"
    assert found["seconds"] == 3.0
    assert [step["said"] for step in found["tried"]] == ["turned down", "let through"]


def test_what_cannot_edit_is_skipped_and_the_exact_re_fit_ends_every_ladder() -> None:
    rows = [row("first", seconds=1.0), row("second", error="no item tokens"), row("refit", seconds=8.0)]
    (found,) = ladder_outcomes(rows, CLIMBED)
    assert found["ends_at"] == "refit"
    assert found["seconds"] == 9.0
    assert [step["said"] for step in found["tried"]] == ["turned down", "skipped"]


def test_a_rung_that_another_row_already_is_takes_its_name() -> None:
    policy = default_policy()
    own = rungs(policy)
    assert [variant.name for variant in own] == [
        rung.method for rung in policy.ladder if rung.method != "refit"
    ]
    same = Variant("least_change", "least_change", {})
    assert same in rungs(policy, [same])
    assert len(rungs(policy, [same])) == len(own)
