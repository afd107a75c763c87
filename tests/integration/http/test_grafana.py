"""The Grafana dashboard and the alerts ask for metrics that the service exposes, with labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from app.db.base import utc_now
from app.db.models import Run, RunStatus
from app.db.session import Database

DOCS = Path(__file__).parents[3] / "docs"
FILE, ALERTS = DOCS / "grafana" / "lethe.json", DOCS / "prometheus" / "lethe.yml"
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def expressions(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from ([part["expr"]] if "expr" in part else [])
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from expressions(one)


def exposed_by(client: TestClient) -> dict[str, set[str]]:
    """Every metric with the labels that it has."""
    client.get("/recommend", params={"user_id": "user-1"})
    exposed: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        exposed.setdefault(family.name, set())
        for sample in family.samples:
            exposed.setdefault(sample.name, set()).update(sample.labels)
        if family.type == "counter":
            # A counter with labels has no sample before something was counted.
            exposed.setdefault(f"{family.name}_total", set())
    return exposed


def require(exposed: dict[str, set[str]], expressions: Iterable[str]) -> None:
    for expression in expressions:
        names = re.findall(r"lethe_[a-z0-9_]+", expression)
        assert names, expression
        for name in names:
            assert name in exposed, name
        for name, label in re.findall(r"(lethe_[a-z0-9_]+)\{([a-z]+)", expression):
            assert label in exposed[name], (name, label)
        for label, name in re.findall(r"by \(([a-z]+)\) \(\(?(lethe_[a-z0-9_]+)\)", expression):
            assert label in exposed[name], (name, label)


@ON_SQLITE
def test_every_metric_of_the_grafana_dashboard_is_exposed(client: TestClient) -> None:
    asked = list(expressions(json.loads(FILE.read_text(encoding="utf-8"))))
    assert len(asked) > 10
    require(exposed_by(client), asked)
    placed = [panel["gridPos"] for panel in json.loads(FILE.read_text(encoding="utf-8"))["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in placed)


@ON_SQLITE
def test_every_metric_of_the_alerts_is_exposed_and_each_alert_is_explained(
    client: TestClient, database: Database
) -> None:
    now = utc_now()
    with database.unit_of_work() as session:
        # Some figures are there only once a run was completed.
        times = dict.fromkeys(("created_at", "started_at", "finished_at"), now)
        session.add(Run(id="ur_1", kind="forget", status=RunStatus.COMPLETED, **times))
    rules = [
        rule
        for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    require(exposed_by(client), [rule["expr"] for rule in rules])
    told = re.findall(
        r"^\| `(Lethe\w+)` \|", (DOCS / "how-to" / "operate.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(told) == sorted(rule["alert"] for rule in rules)
    assert all(rule["labels"]["severity"] in ("critical", "warning") for rule in rules)
    assert all(rule["annotations"]["summary"] for rule in rules)
