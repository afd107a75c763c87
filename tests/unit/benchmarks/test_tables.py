"""Tables of a small result written by hand; every number in a cell is derived here."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.commands import bench_app
from benchmarks.report.cells import filled, significant, spread
from benchmarks.report.measured import Rows, against_controls, halves
from benchmarks.tables import as_json, markdown

ENVIRONMENT = {
    "machine": {"cores": 2, "processor": "test"},
    "threads": 1,
    "load_before": [0.5],
    "library_versions": {"torch": "2"},
    "commit": "0123456789abcdef",
    "uncommitted_changes": False,
    "measured_at": "2026-01-01T00:00:00+00:00",
}


def printed_again(result: Mapping[str, Any], folder: Path) -> str:
    """The tables of a result that lies in a file."""
    stored, written = folder / "result.json", folder / "result.md"
    stored.write_text(json.dumps(result))
    done = CliRunner().invoke(bench_app, ["report", str(stored), "--markdown", str(written)])
    assert done.exit_code == 0
    return written.read_text()


def row(method: str, seed: int, distance: float, **figures: Any) -> dict[str, Any]:
    return {
        "scenario": "users-5",
        "deletion": f"users-5/{seed}",
        "seed": seed,
        "method": method,
        "forgotten_users": 4,
        "forgotten_items": 40,
        "distance": distance,
    } | figures


def result(rows: list[dict[str, Any]], shadow_attack: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "benchmark": "unlearn",
        "environment": ENVIRONMENT,
        "data": {
            "source": "by hand",
            "items": 9,
            "panel_users": 1,
            "service_users": 8,
            "development_users": 2,
            "outsiders": 3,
        },
        "policy": {"name": "default-1", "hash": "0"},
        "commits": ["0123456789abcdef"],
        "wall_seconds": 90.0,
        "scenarios": {name: f"about {name}" for name in dict.fromkeys(row["scenario"] for row in rows)},
        "rows": rows,
        "shadow_attack": shadow_attack or {},
        "regime": {
            "test_recall_original_over_base": 2.5,
            "test_recall_required": 2.0,
            "member_recall_original_over_refit": 1.5,
            "member_recall_required": 1.8,
            "holds": False,
        },
    }


def cells(text: str, heading: str, *labels: str) -> dict[str, str]:
    """The one row of the table under `heading` that starts with these labels, by column."""
    lines = text.split(f"{heading}\n\n", 1)[1].split("\n\n", maxsplit=1)[0].splitlines()
    split = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    (found,) = [line for line in split if tuple(line[: len(labels)]) == labels]
    return dict(zip(split[0], found, strict=True))


MAIN = "### What is forgotten and what is kept"
FLOOR = "refit (seed-to-seed floor)"


def test_the_main_table_has_means_the_floor_and_the_controls_that_win() -> None:
    rows = [
        row("ucan", 0, 0.3, forget_nll_gap=0.1, forget_nll_gap_signed=-0.1, ks_p=0.00004, seconds=0.02, forwards=1,
            subjects_passed=3, subjects_failed=1, subjects_inconclusive=0, publishable=True),
        row("ucan", 1, 0.5, forget_nll_gap=0.3, forget_nll_gap_signed=0.3, ks_p=0.00004, seconds=0.04, forwards=1,
            subjects_passed=1, subjects_failed=2, subjects_inconclusive=1, publishable=False),
        row("refit", 0, 0.1),
        row("refit", 1, 0.1),
        row("do_nothing", 0, 0.6),
        row("do_nothing", 1, 0.6),
        row("uniform_shrink", 0, 0.35),
        row("uniform_shrink", 1, 0.35),
        row("drop_adapter", 0, 0.9),
        row("drop_adapter", 1, 0.9),
        row("retain_only", 0, 0.5),
        row("retain_only", 1, 0.5),
        {name: value for name, value in row("popularity", 0, 0, seconds=0.0).items() if name != "distance"},
    ]  # fmt: skip
    text = markdown(result(rows))
    ucan = cells(text, MAIN, "ucan")
    # Mean of 0.3 and 0.5; their deviation is 0.1 · √2.
    assert ucan["distance (nats)"] == "0.400 ± 0.141"
    assert ucan["forget NLL − re-fits"] == "0.100 ± 0.283"
    assert ucan["absolute, per user"] == "0.200 ± 0.141"
    assert ucan["× floor"] == "4.00"
    assert ucan["seconds"] == "0.03 ± 0.0141"
    assert ucan["KS p"] == "4e-05 ± 0"
    assert ucan["passed / failed / inconclusive"] == "4 / 3 / 1"
    assert ucan["publishable"] == "1 of 2"
    assert ucan["JSD to re-fits"] == "–"
    # Nearer than retain_only (0.5) in the first deletion, as near in the second.
    assert ucan["beats"] == "loses to uniform_shrink; nearer on average only: retain_only (1 of 2)"
    refit = cells(text, MAIN, FLOOR)
    assert refit["distance (nats)"] == "0.100 ± 0.000 (floor)"
    assert refit["beats"] == "beats all controls"
    assert cells(text, MAIN, "drop_adapter")["beats"] == "control"
    popularity = cells(text, MAIN, "popularity")
    assert popularity["distance (nats)"] == popularity["seconds"] == popularity["beats"] == "–"
    assert "Deletions: 2, of 4 ± 0 users and 40 ± 0 interactions." in text
    assert "original over re-fit: 1.50 (at least 1.8). It does NOT hold" in text


def test_a_method_says_what_it_does_not_beat() -> None:
    rows = Rows([row("ucan", 0, 0.5), row("do_nothing", 0, 0.5), row("drop_adapter", 0, 0.4)])
    assert against_controls(rows, "ucan") == "loses to drop_adapter; ties with do_nothing"
    rows = Rows([row("ucan", 0, 0.3), row("do_nothing", 0, 0.5)])
    assert against_controls(rows, "ucan") == "beats do_nothing"
    assert against_controls(Rows([row("ucan", 0, 0.3)]), "ucan") == "–"
    seeds = [row("ucan", 0, 0.1), row("ucan", 1, 0.6), row("do_nothing", 0, 0.5), row("do_nothing", 1, 0.5)]
    assert against_controls(Rows(seeds), "ucan") == "nearer on average only: do_nothing (1 of 2)"


def test_membership_shows_pooled_lira_where_there_were_shadows() -> None:
    figures = {"loss.user.auc_two_sided": 0.75, "loss.user.tpr_at_1_fpr": 0.25}
    pooled = {"ucan": {"auc_two_sided": 0.625, "tpr_at_1_fpr": 0.125, "subjects": 8, "outsiders": 40}}
    shadowed = row("ucan", 0, 0.3, **figures, **{"lira.auc": 0.5})
    text = markdown(result([shadowed], pooled))
    ucan = cells(text, "### Membership", "ucan")
    assert ucan["loss, user: AUC"] == "0.750"
    assert ucan["loss, user: TPR at 1 % FPR"] == "0.250"
    assert ucan["LiRA, user: AUC"] == "0.625"
    assert "Min-K, item: AUC" not in ucan
    assert "8 subjects against 40 outsiders" in text
    assert "LiRA" not in markdown(result([row("ucan", 0, 0.3, **figures)], pooled))


def test_relearning_stands_beside_the_refit_of_the_same_deletion() -> None:
    def curve(*nll: float) -> dict[str, Any]:
        return {
            "relearning.adapter": {"steps": [0, 4, 8], "nll": list(nll)},
            "relearning.adapter.gain": nll[0] - min(nll),
        }

    rows = [
        row("ucan", 0, 0.3, **curve(3.0, 2.5, 2.0)),
        row("ucan", 1, 0.3, **curve(3.0, 2.5, 2.8)),
        row("refit", 0, 0.1, **curve(3.0, 3.0, 2.9)),
        row("refit", 1, 0.1, **curve(3.0, 3.0, 3.1)),
    ]
    ucan = cells(markdown(result(rows)), "### Durability", "ucan")
    # Gains 1.0 and 0.5; ends 2.0 and 2.8; apart from the re-fit's 0.9 and 0.3.
    assert ucan["relearning adapter: gain"] == "0.750 ± 0.354"
    assert ucan["NLL after 8 steps"] == "2.400 ± 0.566"
    assert ucan["− re-fit's"] == "-0.600"


def test_cost_in_mebibytes() -> None:
    rows = [
        row(
            "ucan",
            0,
            0.3,
            seconds=0.5,
            forwards=7,
            backwards=0,
            samples_per_second=1235.6,
            peak_bytes=3 * 2**19,
        )
    ]
    ucan = cells(markdown(result(rows)), "### Cost", "ucan")
    assert list(ucan.values()) == ["ucan", "0.5", "7", "0", "1236", "1.5"]


def single(method: str, number: int, jsd: float) -> dict[str, Any]:
    return row(method, 0, 0.1, jsd=jsd) | {"scenario": "single", "deletion": f"single/0/{number}"}


def test_single_requests_are_parted_into_light_and_heavy_users() -> None:
    rows = [single("do_nothing", number, 0.2) for number in range(4)]
    rows += [single("ucan", number, jsd) for number, jsd in enumerate((0.1, 0.3, 0.2, 0.2))]
    parted = halves(Rows(rows))
    assert {one["deletion"] for one in parted["light"].rows} == {"single/0/0", "single/0/1"}
    assert {one["deletion"] for one in parted["heavy"].rows} == {"single/0/2", "single/0/3"}
    text = markdown(result(rows))
    ucan = cells(text, "### Residual ratio per user", "ucan")
    # 0.1/0.2 and 0.3/0.2; then 1 twice.
    assert ucan["light users"] == "1.00 ± 0.71"
    assert ucan["heavy users"] == "1.00 ± 0.00"
    assert [ucan[name] for name in ("light 0", "light 1", "heavy 2", "heavy 3")] == [
        "0.50",
        "1.50",
        "1.00",
        "1.00",
    ]
    assert cells(text, "### The same, light users alone", "ucan")["JSD to re-fits"] == "0.2000 ± 0.1414"


def test_a_sequence_is_shown_by_the_number_of_requests() -> None:
    rows = [
        row("ucan", 0, distance, requests=number)
        | {"scenario": "sequence", "deletion": f"sequence/0/{number}"}
        for number, distance in ((1, 0.2), (20, 0.6))
    ]
    rows.append(row("refit", 0, 0.3, requests=20) | {"scenario": "sequence", "deletion": "sequence/0"})
    text = markdown(result(rows))
    assert cells(text, MAIN, "1", "ucan")["× floor"] == "–"
    assert cells(text, MAIN, "20", "ucan")["× floor"] == "2.00"
    assert cells(text, MAIN, "20", FLOOR)["distance (nats)"] == "0.300 (floor)"


def test_tuning_shows_what_was_chosen_beside_the_floor_and_the_controls() -> None:
    def trial(method: str, distance: float, **config: Any) -> dict[str, Any]:
        return {"setting": "batch", "method": method, "config": config, "distance": distance, "seconds": 0.25}

    tuned = {
        "benchmark": "tune",
        "environment": ENVIRONMENT,
        "data": {"source": "by hand", "development_users": 5},
        "trials_per_method": 8,
        "chosen": {"batch": {"npo": {"lr": 0.0003, "steps": 30}, "uniform_shrink": {"factor": 0.5}}},
        "rows": [
            trial("npo", 0.4, lr=0.001, steps=10),
            trial("npo", 0.2, lr=0.0003, steps=30),
            trial("refit", 0.1),
            trial("uniform_shrink", 0.3, factor=0.9),
            trial("uniform_shrink", 0.15, factor=0.5),
            trial("do_nothing", 0.5),
        ],
    }
    text = markdown(tuned)
    npo = cells(text, "### Setting: batch", "npo")
    assert list(npo.values()) == [
        "npo", "2", "lr 0.0003, steps 30", "0.200", "0.400", "0.100", "0.500", "does not beat uniform_shrink", "0.25",
    ]  # fmt: skip
    refit = cells(text, "### Setting: batch", FLOOR)
    assert refit["chosen"] == "defaults"
    assert refit["of the first trial"] == "0.100 (defaults)"
    assert refit["beats"] == "beats do_nothing, uniform_shrink"


def test_methods_are_listed_without_a_machine() -> None:
    method = {
        "name": "npo",
        "title": "NPO",
        "paper": None,
        "cost_class": "second_order",
        "exact": False,
        "control": False,
        "recommended": True,
        "published_defaults": "beta 1",
        "reconstruction": "a | b",
    }
    text = markdown({"benchmark": "list-methods", "methods": [method]})
    assert text.splitlines()[-1] == "| npo | NPO | – | approximate | second order | yes | beta 1 | a \\| b |"


def test_cells() -> None:
    assert spread([], 2) == "–"
    assert spread([1.0], 2) == "1.00"
    assert significant(12345.6, 3) == "12346"
    assert significant(0.00012345, 3) == "0.000123"
    assert filled(["a", "b", "c"], [["x", "–", "1"], ["y", "–", "–"]]) == [
        "| a | c |",
        "| --- | --- |",
        "| x | 1 |",
    ]


@pytest.mark.parametrize("name", ["unlearn", "tune"])
def test_where_it_was_measured_comes_first(name: str) -> None:
    found = result([row("ucan", 0, 0.1)])
    if name == "tune":
        found = found | {"benchmark": "tune", "rows": [], "chosen": {}, "trials_per_method": 8}
    assert markdown(found).startswith(
        "2 cores of test, 1 threads, load 0.5 at the start; torch 2; commit 0123456789ab,"
    )


def test_a_result_file_holds_one_row_a_line() -> None:
    result = {"benchmark": "toy", "rows": [{"kl": 1 / 3}, {"kl": 2.0}], "empty": [], "data": {"items": 3}}
    text = as_json(result)
    assert json.loads(text) == {**result, "rows": [{"kl": 0.33333}, {"kl": 2.0}]}
    assert '{"kl": 0.33333},\n{"kl": 2.0}\n]' in text
