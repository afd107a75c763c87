"""Benchmark results as Markdown, so that the documentation shows what a command printed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.report.accept import accept
from benchmarks.report.basis import basis
from benchmarks.report.calibration import calibrate
from benchmarks.report.chaos import chaos
from benchmarks.report.cost import ucan_cost
from benchmarks.report.dashboard import dashboard
from benchmarks.report.early_stop import early_stop
from benchmarks.report.everybody import everybody
from benchmarks.report.forget import forget
from benchmarks.report.gate import gate
from benchmarks.report.levels import levels
from benchmarks.report.listing import listing
from benchmarks.report.load import load
from benchmarks.report.overload import overload
from benchmarks.report.papers import papers
from benchmarks.report.regime import regime
from benchmarks.report.scale import scale
from benchmarks.report.semantic_ids import semantic_ids
from benchmarks.report.sequence import sequence
from benchmarks.report.serve import serve
from benchmarks.report.tune import tune
from benchmarks.report.unlearn import unlearn
from benchmarks.report.worklist import worklist

WRITERS = {
    "unlearn": unlearn,
    "tune": tune,
    "list-methods": listing,
    "ucan-cost": ucan_cost,
    "basis": basis,
    "calibrate": calibrate,
    "early-stop": early_stop,
    "gate": gate,
    "levels": levels,
    "scale": scale,
    "load": load,
    "semantic-ids": semantic_ids,
    "sequence": sequence,
    "forget": forget,
    "accept": accept,
    "everybody": everybody,
    "chaos": chaos,
    "dashboard": dashboard,
    "overload": overload,
    "serve": serve,
    "papers": papers,
    "worklist": worklist,
    "regime": regime,
}


def rounded(value: Any, digits: int = 5) -> Any:
    """The same JSON values with floats rounded to `digits` significant digits: a result file holds thousands."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, Mapping):
        return {name: rounded(item, digits) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    return value


def as_json(result: Mapping[str, Any]) -> str:
    """The text of a result file: rounded, with one row per line, so that a diff shows which rows changed."""
    fields = []
    for name, value in rounded(result).items():
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(json.dumps(item, allow_nan=False) for item in value) + "\n]"
        else:
            text = json.dumps(value, indent=1, allow_nan=False)
        fields.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def markdown(result: Mapping[str, Any]) -> str:
    """The tables of one benchmark's result, with a heading that says where it was measured."""
    head = [_where(result["environment"]), ""] if "environment" in result else []
    return "\n".join([*head, *WRITERS[result["benchmark"]](result)]).rstrip("\n") + "\n"


def _where(environment: Mapping[str, Any]) -> str:
    machine, versions = environment["machine"], environment["library_versions"]
    commit = (environment["commit"] or "unknown")[:12] + ("+" if environment["uncommitted_changes"] else "")
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{machine['cores']} cores of {machine['processor']}, {environment['threads']} threads, load "
        f"{environment['load_before'][0]} at the start; {libraries}; commit {commit}, {environment['measured_at']}."
    )
