"""Tables of the gate's error rates and of many requests, from small results written by hand."""

from typing import Any

from benchmarks.gate.summary import summary
from benchmarks.tables import markdown


def trial(candidate: str, truth_z: float, decision: str, **figures: Any) -> dict[str, Any]:
    return {
        "world": 0,
        "subject": figures.get("subject", 0),
        "candidate": candidate,
        "truth_z": truth_z,
        "decision": decision,
        "accepted": decision == "pass",
        "items": 30,
        "z": 2.5,
        "parent_z": 10.0,
        "predicted_z": 0.5,
        "level_error": 0.25,
        "seconds": 2.0,
        "measures": {
            "utility": {"value": 0.0, "passed": decision != "fail"},
            "membership_z": {"value": 2.4, "passed": True},
            "membership_z_after_rounding": {"value": 2.6, "passed": False},
        },
    } | figures


def gate(rows: list[dict[str, Any]]) -> str:
    return markdown(
        {
            "benchmark": "gate",
            "data": {"source": "by hand", "users": "report", "worlds": 2, "users_of_a_world": [9, 8]},
            "policy": {"name": "default-4", "hash": "0123456789abcdef"},
            "commits": ["0123456789abcdef", "fedcba9876543210"],
            **summary(rows, band=2.5),
            "power": [{"items": 5, "subjects": 3, "deviation": 0.25, "median_z": 4.0, "told": 2 / 3}],
            "rows": rows,
        }
    )


def walked(walk: str, requests: int, **figures: Any) -> dict[str, Any]:
    return {
        "walk": walk,
        "requests": requests,
        "held_out_ndcg@10": 0.1,
        "held_out_recall@10": 0.2,
        "inside_band": 4,
        "still_known": 2,
        "over_forgotten": 1,
        "known_again_now": 0,
        "ever_known_again": 3,
        "passed": 5,
        "failed": 6,
        "inconclusive": 7,
        "later_rungs": 4,
        "refits": 8,
        "refits_because": {"tail_z": 2, "membership_z": 5, "budget: attenuations": 2},
        "seconds": 9.4,
    } | figures


def sequence(rows: list[dict[str, Any]], requests: int) -> str:
    return markdown(
        {
            "benchmark": "sequence",
            "data": {"source": "by hand", "service_users": 50, "kept": 50 - requests},
            "policy": {"name": "default-4", "hash": "0123456789abcdef"},
            "requests": requests,
            "refit": {
                "held_out_ndcg@10": 0.2,
                "held_out_recall@10": 0.4,
                "inside_band": 5,
                "still_known": 2,
                "over_forgotten": 1,
                "seconds": 12.3,
            },
            "rows": rows,
        }
    )


def test_the_gates_rates_stand_with_their_counts_and_intervals() -> None:
    text = gate(
        [
            trial("refit", 0.5, "pass"),
            trial("refit", -0.5, "fail"),
            trial("do_nothing", -4.5, "pass"),
            trial("do_nothing", -3.5, "inconclusive"),
        ]
    )
    assert "2 deletions of one report user each, from 2 services of 8 to 9 users" in text
    assert "Policy default-4, 0123456789ab. Cells made at commit 0123456789ab, fedcba987654." in text
    # One of two: (0.5 + 3.8415 / 4) / (1 + 3.8415 / 2) = 0.5, half of the width 0.40547.
    assert "| false accepts: wrong candidates let through | 1 of 2 | 50.0 % | 9.5 to 90.5 % | – |" in text
    assert "| false rejects: true re-fits failed | 1 of 2 | 50.0 % | 9.5 to 90.5 % | – |" in text
    assert "| wrong candidates inconclusive | 1 of 2 | 50.0 % | 9.5 to 90.5 % | – |" in text
    assert "| edited candidates as good as never seen, let through | 0 of 0 | – | – | – |" in text
    assert (
        "| do_nothing | -4.00 ± 0.50, from -4.5 to -3.5 | 100.0 % (2) | 50.0 % (1) | 0.0 % (0) | 50.0 % (1) | 2.00 |"
    ) in text
    assert "| -6 | -4 | 1 | 100.0 % (1) |" in text
    assert "| 6 |  | 0 | – |" in text
    assert "| 20 | 40 | 2 | 0.0 % (0) | 50.0 % (1) | 2.5 |" in text
    assert "| error of cross-fitted levels (nats) | 0.25 ± 0.00, from 0.2 to 0.2 |" in text
    assert "| utility | 50.0 % (1) | – |" in text
    assert "| 1 | 50.0 % (1) | 50.0 % (1) | 0.0 % (0) |" in text
    # -4.5 and -3.5 are both at most 6 deviations off, and doing nothing is no edit.
    assert "| of those at most 6 deviations off | 1 of 2 |" in text
    assert "| of those edits towards the level | 0 of 0 |" in text
    assert "| 5 | 3 | 0.25 | 4.0 | 67 % |" in text
    assert "| cross-fitted levels | 100.0 % (2) | 0.0 % (0) |" in text
    assert "| 2.5 | 0.0 % (0) | 100.0 % (2) |" in text
    assert "| 2.75 | 0.0 % (0) | 0.0 % (0) |" in text


def test_what_the_ladder_serves_stands_beside_its_first_rung() -> None:
    text = gate(
        [
            *(trial("refit", 0.0, "pass", subject=subject) for subject in range(5)),
            trial("least_change", 0.0, "pass", subject=0),
            trial("least_change", 0.5, "fail", subject=1),
            trial("least_change_later", -3.5, "pass", subject=1),
            trial("least_change", 0.5, "fail", subject=2),
            trial("least_change_later", 0.5, "fail", subject=2),
            # Not what the ladder tries.
            trial("least_change_double", 0.0, "pass", subject=3),
            # The first that is let through is published; nobody asks for the second.
            trial("least_change_output", 0.5, "pass", subject=4),
            trial("least_change", -3.5, "pass", subject=4),
        ]
    )
    assert "| deletions served by a rung towards the level | 3 of 5 | 60.0 % |" in text
    assert "| of these, wrong | 1 of 3 | 33.3 % |" in text
    assert "| false accepts: wrong candidates let through | 2 of 2 |" in text
    assert (
        "| least_change_later | -1.50 ± 2.00, from -3.5 to 0.5 | 50.0 % (1) | 50.0 % (1) | 50.0 % (1) |"
        in text
    )


def test_of_nothing_there_are_dashes() -> None:
    text = gate([])
    assert "| true re-fits inconclusive | 0 of 0 | – | – |" in text
    assert "| gradient_ascent | – ± –, from – to – | – | – | – | – | – |" in text


def test_a_walk_stands_beside_the_re_fit() -> None:
    text = sequence([walked("ucan", 3)], 3)
    assert "3 users of 50 ask one after the other; utility is that of the 47 who never ask" in text
    assert "held-out NDCG@10 0.2000, Recall@10 0.4000, 12 s." in text
    assert "it has 5 inside their band, 2 above and 1 below, by chance" in text
    assert "| 3 | ucan | 0.1000 | 0.500 | 4 | 2 | 1 | 3 | 5 / 6 / 7 | 8 | 9 |" in text
    assert "the 8 re-fits of *ucan* answered" in text
    assert "objected: membership_z 5, budget: attenuations 2, tail_z 2." in text
    assert "Requests of *ucan* that a later rung served: 4." in text


def test_a_walk_without_re_fits_explains_none() -> None:
    text = sequence([walked("ucan", 3, refits=0, refits_because={}, later_rungs=0)], 3)
    assert "answered, each" not in text
    assert "later rung" not in text


def test_long_walks_are_shown_at_their_quarters() -> None:
    def stops(requests: int) -> list[int]:
        looked = [*range(10, requests, 10), requests]
        text = sequence([walked(walk, stop) for walk in ("ucan", "npo") for stop in looked], requests)
        return [int(line.split("|")[1]) for line in text.splitlines() if "| ucan |" in line]

    assert stops(40) == [10, 20, 30, 40]
    assert stops(200) == [50, 100, 150, 200]
    # A quarter of 26 is 6.5: nearest is 10, then 10 again, 20 and the end.
    assert stops(26) == [10, 20, 26]
