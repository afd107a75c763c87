"""The tables of `lethe bench papers`: each paper's figures and ours, and which published directions ours confirm."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report.cells import MISSING, filled, number, section, significant_spread, spread, table
from benchmarks.report.labelled import label_sections, labelled_rows
from benchmarks.report.measured import REFIT, Rows, against_controls, labelled
from benchmarks.report.paper import PUBLISHED, beside, directions, verdict
from benchmarks.report.styled import regime_line, size_of, styled

PAPERS: Mapping[str, Any] = json.loads((Path(__file__).parent / "papers.json").read_text())

_CATALOGUE, _OPTIONS = 10, 5
_SEVEN = (("KL", "kl", 4), ("prediction shift", "prediction_shift", 3), ("PPL", "ppl", 2))
_RANKINGS = (("R", "recall"), ("MRR", "mrr"), ("NDCG", "ndcg"))


def papers(result: Mapping[str, Any]) -> list[str]:
    """A chapter for each table."""
    lines = [PAPERS["notes"]["cannot"], ""]
    for one in result["tables"]:
        lines += _chapter(one)
    return lines[:-1]


def _chapter(one: Mapping[str, Any]) -> list[str]:
    paper, rows = PAPERS["papers"][one["paper"]], Rows(one["rows"])
    cutoff = _OPTIONS if _offers_few(one) else _CATALOGUE
    claims = _claims(one["paper"], paper, cutoff)
    if labelled_rows(rows):
        claims += paper.get("label_directions", [])
    lines = [f"## {paper['title']} on {one['style']}", "", paper["setting"], "", *_measured(one), ""]
    lines += [_in_words(rows, claims), ""]
    lines += section("Directions", directions(rows, claims), *_sources(claims))
    if one["paper"] == "ucan":
        lines += _ucan(rows, cutoff)
    if labelled_rows(rows):
        return lines + label_sections(rows) + styled(one)
    lines += section("Its seven metrics, of everything that we have", _seven(rows, cutoff), _SEVEN_NOTE)
    lines += section("Beside re-fits and controls", _beside_refits(rows, one, cutoff), _DISTANCE_NOTE)
    return lines + styled(one)


def _offers_few(one: Mapping[str, Any]) -> bool:
    """Whether a prompt offers so few candidates that all of them fit into ten places."""
    size = one["size"] or {}
    return size.get("options") is not None and size["options"] <= _CATALOGUE


def _claims(name: str, paper: Mapping[str, Any], cutoff: int) -> list[Mapping[str, Any]]:
    if name != "ucan":
        return list(paper["directions"])
    return [
        {**claim, "figure": claim["figure"].replace("@10", f"@{cutoff}"), "source": "second hand"}
        for claim in PUBLISHED["directions"]
    ]


def _measured(one: Mapping[str, Any]) -> list[str]:
    data, training, machine = one["data"], one["training"], one["environment"]["machine"]
    forgotten = "; ".join(
        f"{name}: {what['users']} users, {what['items']} interactions"
        for name, what in one["deletions"].items()
    )
    config = training["adapter_training"]
    commits = ", ".join(commit[:12] for commit in one["commits"]) or "unknown"
    return [
        f"Data: {data['source']}, {data['items']} items, {data['service_users']} users, {data['outsiders']} outsiders"
        + "".join(f"; {text}" for text in size_of(one))
        + f". Adapter of rank {training['adapter_config']['r']}, {config['epochs']} epochs at {config['lr']:g}. "
        f"Forgotten: {forgotten}. {machine['cores']} shared cores of {machine['processor']}, "
        f"{one['wall_seconds'] / 60:.1f} minutes for the last run (cells and fits of earlier ones are kept), "
        f"commit {commits}. Mean ± standard deviation over deletions.",
        "",
        regime_line(one["regime"]),
    ]


def _in_words(rows: Rows, claims: Sequence[Mapping[str, Any]]) -> str:
    found: dict[str, list[str]] = {}
    for claim in claims:
        _, said, _ = verdict(
            rows, claim["figure"], claim["greater"], claim["less"], below=claim.get("below", False)
        )
        found.setdefault(said.partition(":")[0], []).append(claim["claim"])
    titles = {"reproduces": "Reproduces", "does not reproduce": "Does not reproduce"}
    return " ".join(
        f"**{titles.get(said, 'Cannot be said')}:** {'; '.join(names)}." for said, names in found.items()
    )


def _sources(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    named = dict.fromkeys(claim["source"] for claim in claims)
    return [f"Where the directions come from: {'; '.join(named)}."]


def _ucan(rows: Rows, cutoff: int) -> list[str]:
    kl = ("KL", "kl", 2, 4)
    recalls = (
        ("R@10 forget", f"forget_recall@{cutoff}", 4, 4),
        ("R@10 retain", f"test_recall@{cutoff}", 4, 4),
    )
    trade = ("Trade-off@10", f"tradeoff@{cutoff}", 2, 2)
    main = [{"title": "un-edited", "row": "do_nothing"}, *PUBLISHED["main"]]
    renamed = [_renamed(entry, cutoff) for entry in main]
    note = (
        f"Ours are at {cutoff}: the first five of ten candidates are half of them, as the first ten of the paper's "
        "twenty are. "
        if cutoff == _OPTIONS
        else ""
    )
    return [
        *section(
            "Main results",
            beside(rows, "method", renamed, (trade, *recalls, kl, ("PPL", "ppl", 2, 2))),
            f"{note}Published: {'; '.join(PUBLISHED['sources'].values())}.",
        ),
        *section(
            "Ablation",
            beside(
                rows,
                "variant",
                [_renamed(entry, cutoff) for entry in PUBLISHED["ablation"]],
                (kl, *recalls),
                (("PPL", "ppl", 2, spread), ("distance (nats)", "distance", 3, spread)),
            ),
        ),
    ]


def _renamed(entry: Mapping[str, Any], cutoff: int) -> dict[str, Any]:
    """The published figures under the names of the figures of ours that they are compared with."""
    return {name.replace("@10", f"@{cutoff}"): value for name, value in entry.items()}


_SEVEN_NOTE = (
    "KL and shift are from the un-edited model, PPL is of what is forgotten: damage raises them as much as forgetting "
    "does. The re-fit's row is the aim."
)


def _seven(rows: Rows, cutoff: int) -> list[str]:
    head = ["method", *(title for title, _, _ in _SEVEN)]
    ranked = [
        (f"{title}@{cutoff} {part}", f"{figure}_{name}@{cutoff}")
        for part, figure in (("forget", "forget"), ("retain", "test"))
        for title, name in _RANKINGS
    ]
    head += [title for title, _ in ranked] + ["seconds", "samples/s"]
    body = [
        [
            labelled(method),
            *(spread(rows.values(method, figure), digits) for _, figure, digits in _SEVEN),
            *(spread(rows.values(method, figure), 3) for _, figure in ranked),
            _seconds(rows, method),
            significant_spread(rows.values(method, "samples_per_second"), 3),
        ]
        for method in rows.methods
    ]
    return filled(head, body)


_DISTANCE_NOTE = (
    "*Own tail* is recall on the subjects' forgotten events, *retained tail* that of the others' own training events, "
    "*held-out* of events that no adapter was trained on. Distance: see the [overview](README.md)."
)


def _beside_refits(rows: Rows, one: Mapping[str, Any], cutoff: int) -> list[str]:
    place = 1 if cutoff == _OPTIONS else _CATALOGUE
    held_out = f"held_out_recall@{place}" if cutoff == _OPTIONS else f"test_recall@{place}"
    floor = rows.mean(REFIT, "distance")
    body = []
    for method in rows.methods:
        own = rows.mean(method, "distance")
        errors = {row["error"] for row in rows.of(method) if "error" in row}
        counts = [rows.values(method, f"subjects_{what}") for what in ("passed", "failed", "inconclusive")]
        body.append(
            [
                labelled(method),
                spread(rows.values(method, f"forget_recall@{place}"), 3),
                spread(rows.values(method, f"retained_member_recall@{place}"), 3),
                spread(rows.values(method, held_out), 3),
                spread(rows.values(method, "forget_nll_gap_signed"), 3),
                spread(rows.values(method, "jsd"), 4),
                spread(rows.values(method, "distance"), 3),
                number(own / floor, 2) if own is not None and floor else MISSING,
                "cannot edit it" if errors else against_controls(rows, method),
                " / ".join(str(round(sum(count))) for count in counts) if all(counts) else MISSING,
            ]
        )
    head = [
        "method",
        f"own tail R@{place}",
        f"retained tail R@{place}",
        f"held-out R@{place}",
        "forget NLL − re-fits",
        "JSD to re-fits",
        "distance (nats)",
        "× floor",
        "beats",
        "passed / failed / inconclusive",
    ]
    return table(head, body)


def _seconds(rows: Rows, method: str) -> str:
    return (
        significant_spread(rows.values(method, "seconds"), 3) if rows.values(method, "forwards") else MISSING
    )
