"""The Grafana dashboard asks for metrics that the service exposes, with labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

FILE = Path(__file__).parents[3] / "docs" / "grafana" / "lethe.json"
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def expressions(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from ([part["expr"]] if "expr" in part else [])
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from expressions(one)


@ON_SQLITE
def test_every_metric_of_the_grafana_dashboard_is_exposed(client: TestClient) -> None:
    client.get("/recommend", params={"user_id": "user-1"})
    exposed: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        exposed.setdefault(family.name, set())
        for sample in family.samples:
            exposed.setdefault(sample.name, set()).update(sample.labels)
        if family.type == "counter":
            # A counter with labels has no sample before something was counted.
            exposed.setdefault(f"{family.name}_total", set())
    asked = list(expressions(json.loads(FILE.read_text(encoding="utf-8"))))
    assert len(asked) > 10
    for expression in asked:
        names = re.findall(r"lethe_[a-z_]+", expression)
        assert names, expression
        for name in names:
            assert name in exposed, name
        for name, label in re.findall(r"(lethe_[a-z_]+)\{([a-z]+)", expression):
            assert label in exposed[name], (name, label)
    placed = [panel["gridPos"] for panel in json.loads(FILE.read_text(encoding="utf-8"))["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in placed)
