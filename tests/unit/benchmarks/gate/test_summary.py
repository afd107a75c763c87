"""Rates from rows written by hand."""

from functools import partial
from typing import Any

import pytest

from benchmarks.gate.rates import rate, share_of
from benchmarks.gate.strata import word
from benchmarks.gate.summary import summary as gate_summary
from benchmarks.gate.trials import CANDIDATES, LATER, TRUTH

summary = partial(gate_summary, band=2.5)
INSIDE = {name: {"value": 0.0, "passed": True} for name in ("membership_z", "membership_z_after_rounding")}
NOTHING = {"count": 0, "of": 0, "services": 0} | dict.fromkeys(
    ("share", "low", "high", "low_by_service", "high_by_service")
)


def row(candidate: str, truth_z: float, decision: str, **figures: Any) -> dict[str, Any]:
    return {
        "world": 0,
        "subject": 0,
        "candidate": candidate,
        "truth_z": truth_z,
        "decision": decision,
        "accepted": decision == "pass",
        "items": 30,
        "z": 1.0,
        "parent_z": 10.0,
        "predicted_z": 0.5,
        "level_error": 0.1,
        "seconds": 2.0,
        "measures": INSIDE,
    } | figures


def share(found: dict[str, Any]) -> tuple[int, int]:
    return found["count"], found["of"]


def test_a_wilson_interval_by_hand() -> None:
    found = rate(
        [row("gradient_ascent", 0.0, decision) for decision in ("pass", "pass", "fail", "pass")], _passed
    )
    # With z^2 = 3.8415: middle (0.75 + 3.8415 / 8) / (1 + 3.8415 / 4) = 0.62750, half of the width
    # 1.95996 * sqrt(0.1875 / 4 + 3.8415 / 64) / (1 + 3.8415 / 4) = 0.32686.
    assert share(found) == (3, 4)
    assert found["share"] == 0.75
    assert found["low"] == pytest.approx(0.30064, abs=1e-4)
    assert found["high"] == pytest.approx(0.95436, abs=1e-4)


def test_an_interval_stays_a_share() -> None:
    none = rate([row("gradient_ascent", 0.0, "fail")] * 5, _passed)
    every = rate([row("gradient_ascent", 0.0, "pass")] * 5, _passed)
    assert (none["low"], every["high"]) == (0.0, 1.0)
    # 0 of n: the upper end is z^2 / (n + z^2).
    assert none["high"] == pytest.approx(3.8415 / 8.8415, abs=1e-4)
    assert every["low"] == pytest.approx(1 - 3.8415 / 8.8415, abs=1e-4)


def test_only_wrong_candidates_can_be_false_accepts() -> None:
    found = summary(
        [
            row("do_nothing", -3.5, "pass"),
            row("least_change_double", 4.0, "fail"),
            row("gradient_ascent", -3.0, "pass"),  # On the edge: not wrong.
            row("least_change", -2.0, "pass"),
            row("least_change", 1.0, "fail"),
            row(TRUTH, -9.0, "pass"),  # A re-fit cannot be a false accept.
        ]
    )
    assert share(found["false_accept"]) == (1, 2)
    assert share(found["right_accepted"]) == (1, 2)
    assert found["deletions"] == 1


def test_only_true_re_fits_can_be_false_rejects() -> None:
    found = summary(
        [
            row(TRUTH, 0.0, "pass"),
            row(TRUTH, 0.5, "fail"),
            row(TRUTH, 0.0, "pass"),
            row("gradient_ascent", 0.0, "fail"),
        ]
    )
    assert share(found["false_reject"]) == (1, 3)


def test_an_inconclusive_word_accepts_nothing_and_accuses_nobody() -> None:
    found = summary([row(TRUTH, 0.0, "inconclusive"), row("do_nothing", -5.0, "inconclusive")])
    assert share(found["false_reject"]) == share(found["false_accept"]) == (0, 1)
    assert share(found["refits_inconclusive"]) == share(found["wrong_inconclusive"]) == (1, 1)


def test_by_truth_every_edited_candidate_is_in_one_bin() -> None:
    values = (-100.0, -6.0, -3.0, -2.5, 0.0, 1.9, 2.0, 6.0)
    found = summary([row("gradient_ascent", value, "pass") for value in values] + [row(TRUTH, 0.0, "pass")])[
        "by_truth"
    ]
    assert {(entry["from"], entry["to"]): entry["accepted"]["of"] for entry in found} == {
        (None, -6.0): 1,
        (-6.0, -4.0): 1,
        (-4.0, -3.0): 0,
        (-3.0, -2.0): 2,
        (-2.0, 0.0): 0,
        (0.0, 2.0): 2,
        (2.0, 3.0): 1,
        (3.0, 4.0): 0,
        (4.0, 6.0): 0,
        (6.0, None): 1,
    }


def test_by_items_looks_at_re_fits_and_at_doing_nothing() -> None:
    found = summary(
        [
            row(TRUTH, 0.0, "fail", items=19),
            row(TRUTH, 0.0, "inconclusive", items=20),
            row(TRUTH, 0.0, "pass", items=39),
            row("do_nothing", -4.0, "fail", items=39, z=3.0),
            row("do_nothing", -4.0, "fail", items=20, z=5.0),
            row("gradient_ascent", 0.0, "inconclusive", items=500),
        ]
    )["by_items"]
    assert [(entry["from"], entry["to"]) for entry in found] == [
        (0, 20), (20, 40), (40, 80), (80, 160), (160, None)
    ]  # fmt: skip
    assert [share(entry["refits_failed"]) for entry in found] == [(1, 1), (0, 2), (0, 0), (0, 0), (0, 0)]
    assert [share(entry["refits_inconclusive"])[0] for entry in found] == [0, 1, 0, 0, 0]
    assert [entry["kept_z"] for entry in found] == [None, 4.0, None, None, None]


def test_candidates_stand_by_themselves() -> None:
    found = summary(
        [
            row("gradient_ascent", -5.0, "fail", seconds=1.0),
            row("gradient_ascent", 1.0, "pass", seconds=3.0),
            row("do_nothing", -9.0, "fail"),
        ]
    )
    by_name = {entry["candidate"]: entry for entry in found["candidates"]}
    assert tuple(by_name) == (*CANDIDATES, LATER)
    ascent = by_name["gradient_ascent"]
    assert [share(ascent[name]) for name in ("wrong", "pass", "fail", "inconclusive")] == [
        (1, 2), (1, 2), (1, 2), (0, 2)
    ]  # fmt: skip
    assert ascent["truth_z"] == {"mean": -2.0, "deviation": 3.0, "lowest": -5.0, "highest": 1.0}
    assert ascent["seconds"] == 2.0


def test_refusals_count_the_measures_of_true_re_fits() -> None:
    failed, passed = {"value": 1.0, "passed": False}, {"value": 0.0, "passed": True}
    found = summary(
        [
            row(TRUTH, 0.0, "fail", measures=INSIDE | {"utility": failed, "membership": passed}),
            row(TRUTH, 0.0, "pass", measures=INSIDE | {"utility": passed}),
            row(
                TRUTH, 0.0, "inconclusive", measures=INSIDE | {"membership": {"value": None, "passed": None}}
            ),
            row("gradient_ascent", 0.0, "fail", measures=INSIDE | {"its own": failed}),
        ]
    )["refusals"]
    assert {name: share(entry) for name, entry in found.items()} == {
        "membership": (0, 3), "membership_z": (0, 3), "membership_z_after_rounding": (0, 3), "utility": (1, 3)
    }  # fmt: skip


def measured(z: float, rounded: float, **passed: bool | None) -> dict[str, Any]:
    """Measures of one candidate: its place in the band, before and after rounding, and words on the others."""
    others = {name: {"value": 0.0, "passed": word} for name, word in passed.items()}
    return {
        "membership_z": {"value": z, "passed": abs(z) <= 2.5},
        "membership_z_after_rounding": {"value": rounded, "passed": abs(rounded) <= 2.5},
        **others,
    }


def test_another_band_lets_others_through() -> None:
    found = summary(
        [
            row(TRUTH, 0.0, "pass", measures=measured(2.6, 2.4, held_out_loss=True)),
            row("do_nothing", -5.0, "fail", measures=measured(2.6, 2.4, held_out_loss=True)),
            row("do_nothing", -5.0, "fail", measures=measured(-1.0, -3.2, held_out_loss=True, tail_z=None)),
            # No band lets these through: one does harm, of the other nothing shows that it does none.
            row("do_nothing", -5.0, "fail", measures=measured(0.0, 0.0, held_out_loss=True, tail_z=False)),
            row("do_nothing", -5.0, "inconclusive", measures=measured(0.0, 0.0, held_out_loss=None)),
            # Whoever lay inside it as a member: nothing to forget that this band could tell.
            row(
                "gradient_ascent", -5.0, "pass", parent_z=2.9, measures=measured(0.0, 0.0, held_out_loss=True)
            ),
        ]
    )["bands"]
    by_band = {entry["band"]: entry for entry in found}
    assert {band: share(entry["false_accept"]) for band, entry in by_band.items() if band >= 2.5} == {
        2.5: (1, 5), 2.75: (2, 5), 3.0: (1, 5), 3.25: (2, 5), 3.5: (2, 5)
    }  # fmt: skip
    assert [share(by_band[band]["refits_outside"]) for band in (2.5, 2.75)] == [(1, 1), (0, 1)]


def test_what_predicted_levels_would_tell_stands_beside() -> None:
    found = summary(
        [
            row(TRUTH, 0.0, "pass", z=2.6, predicted_z=1.0),
            row("do_nothing", -5.0, "fail", z=4.0, predicted_z=2.0),
            row("do_nothing", -5.0, "fail", z=4.0, predicted_z=3.0),
        ]
    )["evidence"]
    assert {
        name: [share(rates[one]) for one in ("wrong_inside", "refits_outside")]
        for name, rates in found.items()
    } == {
        "cross-fitted levels": [(0, 2), (1, 1)],
        "predicted levels": [(1, 2), (0, 1)],
    }


def test_of_nothing_there_is_no_share() -> None:
    found = summary([])
    for name in (
        "false_accept",
        "false_reject",
        "refits_inconclusive",
        "right_accepted",
        "wrong_inconclusive",
    ):
        assert found[name] == NOTHING
    assert all(entry["accepted"] == NOTHING for entry in found["by_truth"])
    assert all(entry["kept_z"] is None for entry in found["by_items"])
    assert all(entry["seconds"] is None for entry in found["candidates"])
    assert all(moments["mean"] is None for moments in found["levels"].values())
    assert found["refusals"] == {}
    assert all(entry["false_accept"] == entry["refits_outside"] == NOTHING for entry in found["bands"])


def test_services_are_the_unit_of_the_second_interval() -> None:
    # Four services of ten trials each. All hits in one: the share varies over services as it would over four trials.
    clumped = share_of({"a": 10}, dict.fromkeys("abcd", 10))
    even = share_of(dict.fromkeys("abcd", 5), dict.fromkeys("abcd", 10))
    assert (clumped["share"], clumped["services"], even["share"]) == (0.25, 4, 0.5)
    # Sum over services (7.5^2 + 3 x 2.5^2) = 75, times 4 / 3 and by 40 trials 2.5, beside 0.25 x 0.75 = 0.1875: a
    # design effect of 13.3, and Student's t of three degrees of freedom 3.182 / 1.960 squared = 2.64: 40 / 35 = 1.14.
    square, trials = 3.8415, 40 / (2.5 / 0.1875) / (3.1824 / 1.95996) ** 2
    middle = (0.25 + square / (2 * trials)) / (1 + square / trials)
    half = 1.95996 * (0.1875 / trials + square / (4 * trials**2)) ** 0.5 / (1 + square / trials)
    assert clumped["low_by_service"] == pytest.approx(max(middle - half, 0.0), abs=2e-3)
    assert clumped["high_by_service"] == pytest.approx(middle + half, abs=2e-3)
    assert clumped["low"] is not None
    assert clumped["low"] > (clumped["low_by_service"] or 0.0)
    # Services that agree are still few.
    assert even["high"] is not None
    assert even["high"] < (even["high_by_service"] or 0.0)
    alone = share_of({"a": 3}, {"a": 10})
    assert (alone["share"], alone["low_by_service"], alone["high_by_service"]) == (0.3, None, None)


def test_every_stratum_gets_a_word() -> None:
    def trials(items: int, accepted: int, of: int, failed: int) -> list[dict[str, Any]]:
        own = {"items": items, "service_users": 200, "density": 0.001}
        rows = []
        for number in range(of):
            place = own | {"service": f"service {number % 10}", "subject": number}
            found = measured(0.0 if number >= failed else 4.0, 0.0)
            rows.append(row(TRUTH, 0.0, "pass" if number >= failed else "fail", measures=found) | place)
            rows.append(row("do_nothing", -9.0, "pass" if number < accepted else "fail") | place)
            rows.append(row("least_change", 0.0, "pass") | place)
        return rows

    found = summary(
        trials(2, 0, 300, 20) + trials(7, 20, 300, 0) + trials(60, 0, 300, 60) + trials(15, 0, 20, 0)
    )
    strata = found["strata"]
    assert [(entry["from"], entry["to"], entry["word"]) for entry in strata["items"]] == [
        (1, 3, "decides"),
        # Wrong candidates come through.
        (6, 11, "inconclusive"),
        # Of twenty wrong ones none came through, which may happen where one in ten does.
        (11, 51, "inconclusive"),
        # True re-fits are failed.
        (51, None, "inconclusive"),
    ]
    assert [(entry["from"], entry["to"]) for entry in strata["service_users"]] == [(100, 300)]
    assert [(entry["from"], entry["to"]) for entry in strata["density"]] == [(0.0, 0.005)]
    first = strata["items"][0]
    assert (first["deletions"], first["services"]) == (300, 10)
    assert [share(first[name]) for name in ("false_accept", "false_reject", "served", "told")] == [
        (0, 300), (20, 300), (300, 300), (300, 300)
    ]  # fmt: skip


def test_rows_of_earlier_results_have_lengths_alone() -> None:
    found = summary([row(TRUTH, 0.0, "pass"), row("do_nothing", -9.0, "fail")])
    assert list(found["strata"]) == ["items"]
    (entry,) = found["strata"]["items"]
    # One service says nothing about others.
    assert entry["word"] == word(entry["false_accept"], entry["false_reject"]) == "inconclusive"


def _passed(found: Any) -> bool:
    return bool(found["decision"] == "pass")
