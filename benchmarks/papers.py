"""The papers' own tables, on the papers' prompt styles as far as Lethe has them: `lethe bench papers`.

A paper that has a style of its own here (E2URec: yes and no) is measured on it, and U-CAN on any other. The rest is
filled from finished results of `lethe bench unlearn`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from benchmarks import unlearn
from benchmarks.environment import environment
from benchmarks.fits import Regime
from benchmarks.report.measured import Rows
from benchmarks.report.papers import PAPERS
from benchmarks.study.scenarios import SCENARIOS
from recommender import ItemTokenStyle
from unlearning.evaluation.metrics import percent_drop

# The fields of a row that are shown. The others stay in the study's folder.
_KEPT = (
    "deletion", "seed", "method", "error", "kl", "prediction_shift", "ppl", "forget_nll_gap_signed", "jsd", "distance",
    "seconds", "samples_per_second", "publishable", "subjects_passed", "subjects_failed", "subjects_inconclusive",
    "tradeoff@10", "forwards",
)  # fmt: skip
_RANKED = ("forget", "retained_member", "test", "held_out")
_LABELLED = (
    *(f"forget_{figure}" for figure in ("auc", "accuracy", "log_loss")),
    *(f"held_out_{figure}" for figure in ("auc", "accuracy", "log_loss", "change")),
    "retained_member_auc",
    "l2",
    "symmetric_kl",
)
_CUTOFFS = (1, 5, 10)


class NothingToShow(ValueError):
    """The result fills none of the papers' tables; the message says which results would."""


def run(
    data: Path | None,
    *,
    papers: Sequence[str] | None = None,
    regime: Regime | None = None,
    results: Sequence[Mapping[str, Any]] = (),
    seeds: int = 1,
    folder: Path | None = None,
    processes: int | None = None,
) -> dict[str, Any]:
    """Measure some papers' tables and take the others from finished results; returns JSON values.

    Args:
        data: the interactions; None to measure nothing.
        papers: names of the papers that are measured on `regime`; None for those of its style.
        results: of `lethe bench unlearn`. Each fills those tables of its scenario that are not measured.

    Raises:
        NothingToShow: nothing is measured, and a result's scenario belongs to no paper.
    """
    # The environment in which the tables were put together. Each table also says where it was measured.
    header = environment()
    tables = []
    if data is not None and regime is not None:
        for name in papers or papers_of(regime.style):
            scenario = SCENARIOS[PAPERS["papers"][name]["scenario"]]
            found = unlearn.run(
                data,
                scenarios=[scenario],
                methods=PAPERS["papers"][name]["methods"],
                seeds=seeds,
                folder=folder,
                processes=processes,
                regime=regime,
            )
            tables.append(table_of(name, json.loads(json.dumps(found))))
    for result in results:
        tables += _from(result, {(one["paper"], one["style"]) for one in tables})
    if not tables:
        wanted = ", ".join(sorted({one["scenario"] for one in PAPERS["papers"].values()}))
        raise NothingToShow(f"nothing to show: give --data, or results of the scenarios {wanted}")
    return {"benchmark": "papers", "environment": header, "tables": tables}


def papers_of(style: str) -> tuple[str, ...]:
    """The papers that are measured on this style: those whose own it is, or U-CAN's."""
    own = tuple(name for name, paper in PAPERS["papers"].items() if paper.get("own_style") == style)
    return own or ("ucan",)


def _from(result: Mapping[str, Any], there: Set[tuple[str, str]]) -> list[dict[str, Any]]:
    style = result.get("style", ItemTokenStyle.name)
    return [
        table_of(name, result)
        for name, paper in PAPERS["papers"].items()
        if (name, style) not in there and paper["scenario"] in result.get("scenarios", {})
    ]


def table_of(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a result of `lethe bench unlearn` that a paper's tables need.

    Raises:
        NothingToShow: not even doing nothing could be measured, so there is nothing to compare with.
    """
    paper, style = PAPERS["papers"][name], result.get("style", ItemTokenStyle.name)
    # On a paper's own style, everything that was measured is shown.
    whole = style == paper.get("own_style")
    rows = [
        row
        for row in result["rows"]
        if row["scenario"] == paper["scenario"] and (whole or row["method"] in paper["shown"])
    ]
    for row in Rows(rows).of("do_nothing"):
        if "error" in row:
            raise NothingToShow(f"nothing to show: doing nothing cannot be measured: {row['error']}")
    return {
        "paper": name,
        "style": style,
        "environment": result["environment"],
        "commits": result.get("commits", []),
        "wall_seconds": result["wall_seconds"],
        "data": result["data"],
        "training": result["training"],
        "size": result.get("size"),
        "regime": result["regime"],
        "ladder": result.get("ladder", []),
        "power": result.get("power", []),
        "deletions": {
            row["deletion"]: {"users": row["forgotten_users"], "items": row["forgotten_items"]}
            for row in rows
        },
        "rows": [_kept(row, rows) for row in rows],
    }


def _kept(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures that are shown, with the Trade-off at the paper's cut-off and at those that suit a short list."""
    ranked = {
        name: value
        for name, value in row.items()
        if name.partition("_recall@")[0].partition("_mrr@")[0].partition("_ndcg@")[0] in _RANKED
    }
    labelled = {name: row[name] for name in _LABELLED if name in row} if "forget_auc" in row else {}
    return {name: row[name] for name in _KEPT if name in row} | ranked | labelled | trade_offs(row, rows)


def trade_offs(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """U-CAN's Trade-off, relative to doing nothing in the same deletion, at each cut-off with both recalls."""
    untouched = next((one for one in Rows(rows).of("do_nothing") if one["deletion"] == row["deletion"]), None)
    found = {}
    for cutoff in _CUTOFFS:
        held_out = next(
            (name for name in (f"test_recall@{cutoff}", f"held_out_recall@{cutoff}") if name in row), None
        )
        own = f"forget_recall@{cutoff}"
        if untouched is None or held_out is None or own not in row:
            continue
        forgotten = percent_drop(untouched[own], row[own])
        kept = percent_drop(untouched[held_out], row[held_out])
        if forgotten is not None and kept is not None:
            found[f"tradeoff@{cutoff}"] = forgotten - kept
    return found
