"""The table of `lethe bench unlearn --list-methods`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import plain, table


def listing(result: Mapping[str, Any]) -> list[str]:
    """One line per method of the registry."""
    return table(
        ["name", "title", "paper", "kind", "cost class", "recommended", "published defaults", "ours"],
        [
            [
                method["name"],
                plain(method["title"]),
                plain(method["paper"]),
                _kind(method),
                method["cost_class"].replace("_", " "),
                "yes" if method["recommended"] else "no",
                plain(method["published_defaults"]),
                plain(method["reconstruction"]),
            ]
            for method in result["methods"]
        ],
    )


def _kind(method: Mapping[str, Any]) -> str:
    if method["control"]:
        return "control"
    return "exact" if method["exact"] else "approximate"
