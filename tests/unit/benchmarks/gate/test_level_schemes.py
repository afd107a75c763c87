"""A whole comparison of schemes on a toy population."""

import json
from typing import Any

import pytest

from benchmarks.gate import level_schemes
from benchmarks.study.workshop import Workshop
from benchmarks.tables import as_json, markdown


@pytest.fixture(scope="module")
def result(workshop: Workshop) -> dict[str, Any]:
    # In a folder of its own: other tests count the fits in the workshop's.
    return level_schemes.run(workshop.data, worlds=1, processes=1, regime=workshop.regime)


def test_every_scheme_makes_the_levels_of_the_same_service(result: dict[str, Any]) -> None:
    rows = result["rows"]
    assert [row["scheme"] for row in rows] == list(level_schemes.schemes(1))
    assert len({(row["service"], row["users"], row["unseen"]) for row in rows}) == 1
    for row in rows:
        assert 0 <= row["told"] <= row["users"]
        assert 0 <= row["outside"] <= row["unseen"]
        assert row["deviation"] > 0


def test_fewer_users_are_fitted_from_scheme_to_scheme(result: dict[str, Any]) -> None:
    halves, quarters, *samples = (row["users_fitted"] / row["users"] for row in result["rows"])
    assert (halves, quarters) == (2.0, 1.0)
    assert 1.0 > samples[0] >= samples[1] > 0.0


def test_the_result_is_json_and_a_table(result: dict[str, Any]) -> None:
    text = markdown(json.loads(as_json(result)))
    for name in level_schemes.schemes(1):
        assert f"\n| {name} | " in text
