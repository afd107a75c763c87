"""The tables of `lethe bench dashboard`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report.cells import MISSING, number, section, table


def dashboard(result: Mapping[str, Any]) -> list[str]:
    """First paint, news, and what open pages cost, beside what is asked of them."""
    paint, idle, pages = result["first_paint"], result["idle"], result["pages"]
    pairs = result["recommendations"]["pairs"]
    told = (
        f"{len(pairs)} pairs of {result['recommendations']['pair_seconds']:g} seconds, "
        f"{result['recommendations']['per_second']:g} requests a second; each period with open pages follows one "
        "without. A ratio of 1 means no slower."
    )
    return [
        (
            f"Seed {result['seed']}; {result['requests']:,} unfinished requests on SQLite, one gateway, headless "
            "Chromium with an empty cache on the same machine."
        ),
        "",
        *section(
            "The worklist in a browser",
            table(
                ["what", "times", "median", "largest", "asked for"],
                [
                    ["first paint, s", *_spread([one / 1000 for one in paint["milliseconds"]]), "< 1"],
                    [
                        "bytes of the page and all it loads, kB",
                        "",
                        "",
                        number(paint["bytes"] / 1e3, 1),
                        "< 200",
                    ],
                    ["of these the page itself, kB", "", "", number(paint["page_bytes"] / 1e3, 1), ""],
                    [
                        "from a request's 202 until the page shows it, s",
                        *_spread(result["event_seconds"]),
                        "< 1",
                    ],
                ],
            ),
        ),
        *section(
            f"The gateway's processor, idle for {idle['seconds']:g} s",
            table(
                ["open pages", "share of a core, %", "asked for"],
                [
                    [0, number(100 * idle["processor_share_without"], 2), ""],
                    [pages, number(100 * idle["processor_share_with"], 2), ""],
                    [
                        "difference",
                        number(100 * (idle["processor_share_with"] - idle["processor_share_without"]), 2),
                        "< 5",
                    ],
                ],
            ),
            f"Pages that fetched their content anew meanwhile: {idle['news']}.",
        ),
        *section(
            f"GET /recommend beside {pages} open pages",
            [
                told,
                "",
                *table(
                    [
                        "seconds",
                        "median without",
                        "median with",
                        "ratio of pairs: median",
                        "smallest",
                        "largest",
                    ],
                    [[name, *_paired(pairs, name)] for name in ("p50", "p95", "p99")],
                ),
            ],
        ),
    ]


def _spread(values: Sequence[float]) -> list[Any]:
    return [len(values), number(statistics.median(values), 3), number(max(values), 3)]


def _paired(pairs: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    both = [(pair["without"][name], pair["with"][name]) for pair in pairs]
    known = [(without, beside) for without, beside in both if without and beside]
    if not known:
        return [MISSING] * 5
    ratios = [beside / without for without, beside in known]
    middle = math.exp(statistics.median(math.log(ratio) for ratio in ratios))
    return [
        number(statistics.median(without for without, _ in known), 4),
        number(statistics.median(beside for _, beside in known), 4),
        number(middle, 2),
        number(min(ratios), 2),
        number(max(ratios), 2),
    ]
