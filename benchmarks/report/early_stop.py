"""The table of `lethe bench early-stop`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import percent, spread, table


def early_stop(result: Mapping[str, Any]) -> list[str]:
    """The figures of the epochs that each rule keeps, over the seeds."""
    rows = [
        [
            row["rule"],
            ", ".join(map(str, row["epochs"])),
            spread(row["ndcg@10"], 4),
            spread(row["held_out_loss"], 3),
            spread(row["own_loss"], 3),
            percent(row["refits_beyond_the_margin"]),
        ]
        for row in result["rows"]
    ]
    data = result["data"]
    told = (
        f"Data: {data['source']}, {data['count']} {data['users']} users; patience {result['patience']}. The rules look "
        "at each user's last item but one, the figures are of the last one. Mean ± standard deviation over seeds."
    )
    return [
        told,
        "",
        *table(
            (
                "the epoch is kept by",
                "epochs kept",
                "held-out NDCG@10",
                "held-out loss, smoothed",
                "loss on users' own items",
                "pairs whose second fit is worse than the first by more than the policy's margin",
            ),
            rows,
        ),
    ]
