"""The tables of `lethe bench semantic-ids`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import number, table

_MILLI = 1e3


def semantic_ids(result: Mapping[str, Any]) -> list[str]:
    """What exact scores cost compared with the least forwards, and what each search reads and finds."""
    data, exact = result["data"], result["exact"]
    head = (
        f"{data['items']} generated items, {data['tuples']} different tuples of {data['tokens_of_an_item']} tokens, "
        f"{data['inner_nodes']} inner nodes. A Llama of {data['parameters']} parameters, {data['epochs']} epochs on "
        f"generated users, seed {data['seed']}; {data['users']} of them are asked, with prompts of about "
        f"{data['prompt_tokens']} tokens. Seconds are of the processor, one thread."
    )
    cost = (
        f"Scores of all items: {exact['forwards']} forwards, {number(exact['seconds'] * _MILLI, 1)} ms; the forwards "
        f"alone {number(exact['least_seconds'] * _MILLI, 1)} ms. Ratio {number(exact['ratio'], 2)} (median of pairs; "
        f"{number(exact['ratio_low'], 2)} to {number(exact['ratio_high'], 2)}). Largest difference from reading every "
        f"item whole, of {exact['users_by_brute_force']} users: {exact['largest_difference']:.1e} nats."
    )
    rows = [
        [
            str(row["k"]),
            row["search"],
            number(row["nodes"], 0),
            number(row["forwards"], 1),
            "–" if row["seconds"] is None else number(row["seconds"] * _MILLI, 1),
            number(row["found"], 2),
            "yes" if row["same_order"] else "no",
        ]
        for row in result["rows"]
    ]
    columns = (
        "best k",
        "search",
        "nodes read",
        "forwards",
        "ms",
        "of the exact best k",
        "the same list for everybody",
    )
    return [head, "", cost, "", *table(columns, rows)]
