"""The table of `lethe bench ucan-cost`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import number, table


def ucan_cost(result: Mapping[str, Any]) -> list[str]:
    """Time and memory, compared with one plain forward pass."""
    columns = (
        ("subjects", "subjects", 0),
        ("tokens", "tokens", 0),
        ("forward_seconds", "forward s", 3),
        ("ucan_seconds", "U-CAN s", 3),
        ("ratio_to_forward", "ratio", 2),
        ("ratio_to_forward_processor_time", "ratio (processor time)", 2),
        ("ratio_to_forward_without_logits", "ratio, forward without logits", 2),
        ("peak_memory_ratio", "peak memory ratio", 2),
        ("peak_memory_ratio_without_logits", "peak memory ratio, forward without logits", 2),
    )
    rows = [[number(row[name], digits) for name, _, digits in columns] for row in result["rows"]]
    return [
        f"Data: {result['data']['source']}, {result['repeats']} alternating repeats, medians.",
        "",
        *table([title for _, title, _ in columns], rows),
    ]
