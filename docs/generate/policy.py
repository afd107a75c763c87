"""Every field of a gate policy: `unlearning.Policy` and its sections."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import fields
from typing import Any

from docs.generate.markdown import paragraph, table
from unlearning import Policy, default_policy
from unlearning.evaluation.config import EvaluationConfig
from unlearning.policy.consolidation import ConsolidationBudget
from unlearning.policy.policy import Rung, Search
from unlearning.policy.skipping import Skipping
from unlearning.policy.strata import Stratum

_HEAD = """# Gate policy

Written by `make docs` from `unlearning/policy/`. A policy is a JSON file; `LETHE_POLICY_FILE` names it, and
`unlearning/policy/default.json` is taken otherwise. Every field has to be there. A worker puts the policy's SHA-256
hash on record with each claim of a run, before anything is measured.
"""
_SECTIONS = (
    ("", Policy),
    ("ladder", Rung),
    ("ladder.search", Search),
    ("evaluation", EvaluationConfig),
    ("strata", Stratum),
    ("skipping", Skipping),
    ("consolidation", ConsolidationBudget),
)
# These have a table or a list of their own.
_LISTED = ("ladder", "evaluation", "strata", "skipping", "consolidation")


def policy_page() -> str:
    """One table for each section, with the values of the default policy."""
    policy = default_policy()
    plain: dict[str, Any] = json.loads(policy.to_json())
    lines = [_HEAD, "## The default ladder", ""]
    lines += [f"{place}. {_rung(rung)}" for place, rung in enumerate(plain["ladder"], start=1)]
    for section, kind in _SECTIONS:
        summary, told = _docstring(kind)
        values = plain if not section else plain.get(section)
        values = values if isinstance(values, dict) else None
        named = f"`{section}`: each entry" if section in ("ladder", "strata") else f"`{section}`"
        lines += ["", f"## {named if section else 'Fields'}", "", summary, ""]
        if not told:
            lines.append("Fields: " + ", ".join(f"`{one.name}`" for one in fields(kind)) + ".")
            continue
        rows = [
            [f"`{one.name}`", *([_value(one.name, values)] if values else []), told.get(one.name, "")]
            for one in fields(kind)
        ]
        lines += table(["field", *(["default policy"] if values else []), "meaning"], rows)
    return "\n".join(lines) + "\n"


def _rung(rung: dict[str, Any]) -> str:
    config = f" with `{json.dumps(rung['config'])}`" if rung["config"] else ""
    return f"`{rung['method']}`{config}"


def _value(name: str, values: dict[str, Any]) -> str:
    return "see below" if name in _LISTED else f"`{json.dumps(values[name])}`"


def _docstring(kind: type[Any]) -> tuple[str, dict[str, str]]:
    """The text before the attributes, and what is said of each attribute."""
    text = inspect.getdoc(kind) or ""
    summary, _, rest = text.partition("Attributes:\n")
    summary = summary.partition("Raises:")[0]
    told: dict[str, str] = {}
    names: list[str] = []
    for line in rest.partition("\nRaises:")[0].splitlines():
        found = re.match(r" {4}((?:\w+, )*\w+): (.*)", line)
        if found:
            names = found[1].split(", ")
        for name in names:
            told[name] = (told.get(name, "") + " " + (found[2] if found else line.strip())).strip()
    return paragraph(summary), {name: paragraph(one) for name, one in told.items()}
