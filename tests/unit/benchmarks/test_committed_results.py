"""What is committed describes what is shipped: tables are reprinted from results, rates are the default policy's."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.gate.run import COMMITTED, committed, every_stratum
from benchmarks.gate.strata import FALSE_ACCEPTS, FALSE_REJECTS
from benchmarks.tables import markdown
from unlearning import default_policy

DOCS = Path(__file__).parents[3] / "docs" / "benchmarks"


@pytest.mark.parametrize(
    ("result", "tables"),
    [
        (COMMITTED, "gate.md"),
        (DOCS / "gate-dense.json", "gate-dense.md"),
        (DOCS / "gate-sparse-3000.json", "gate-sparse-3000.md"),
        (DOCS / "forget.json", "forget.md"),
        (DOCS / "accept.json", "accept.md"),
        (DOCS / "accept-replicas.json", "accept-replicas.md"),
        (DOCS / "worklist.json", "worklist.md"),
        (DOCS / "dashboard.json", "dashboard.md"),
        (DOCS / "overload.json", "overload.md"),
        (DOCS / "serving.json", "serving.md"),
        (DOCS / "serving-1000.json", "serving-1000.md"),
        (DOCS / "serving-s3.json", "serving-s3.md"),
        (DOCS / "many-requests.json", "many-requests.md"),
        (DOCS / "many-requests-output.json", "many-requests-output.md"),
        (DOCS / "basis.json", "basis.md"),
        (DOCS / "levels.json", "levels.md"),
        (DOCS / "scale.json", "scale.md"),
        (DOCS / "load.json", "load.md"),
        (DOCS / "semantic-ids.json", "semantic-ids.md"),
        (DOCS / "unlearn" / "least-change.json", "unlearn/least-change.md"),
        (DOCS / "unlearn" / "sparse-users-5.json", "unlearn/sparse-users-5.md"),
        (DOCS / "unlearn" / "dense-users-5.json", "unlearn/dense-users-5.md"),
        (DOCS / "unlearn" / "semantic-ids.json", "unlearn/semantic-ids.md"),
        (DOCS / "papers.json", "papers.md"),
        (DOCS / "papers-yes-no.json", "papers-yes-no.md"),
        (DOCS / "letters-regime.json", "letters-regime.md"),
    ],
    ids=[
        "gate",
        "gate-dense",
        "gate-sparse-3000",
        "forget",
        "accept",
        "accept-replicas",
        "worklist",
        "dashboard",
        "overload",
        "serving",
        "serving-1000",
        "serving-s3",
        "many-requests",
        "many-requests-output",
        "basis",
        "levels",
        "scale",
        "load",
        "semantic-ids",
        "least-change",
        "sparse-users-5",
        "dense-users-5",
        "unlearn-semantic-ids",
        "papers",
        "papers-yes-no",
        "letters-regime",
    ],
)
def test_the_tables_are_what_the_result_prints(result: Path, tables: str) -> None:
    assert (DOCS / tables).read_text() == markdown(json.loads(result.read_text()))


def test_the_gates_rates_are_those_of_the_default_policy_on_report_users() -> None:
    result = committed()
    assert result["policy"]["hash"] == every_stratum(default_policy()).hash
    assert result["data"]["users"] == "report"
    assert not result["environment"]["uncommitted_changes"]
    # Services are the unit: deletions of one share its adapters.
    assert len(result["by_world"]) >= 8
    assert result["deletions"] >= 200


def test_the_gate_decides_about_no_history_that_was_not_measured_or_is_shown_to_be_judged_wrongly() -> None:
    measured = committed()["strata"]["items"]
    for stratum in default_policy().strata:
        own = [entry for entry in measured if entry["from"] <= stratum.items < (entry["to"] or math.inf)]
        if stratum.decides:
            (entry,) = own
            assert entry["false_accept"]["low_by_service"] <= FALSE_ACCEPTS
            assert entry["false_reject"]["share"] <= FALSE_REJECTS


def test_the_sweep_over_bands_counts_as_the_gate_did() -> None:
    result, policy = committed(), default_policy()
    (at_policy,) = [entry for entry in result["bands"] if entry["band"] == policy.membership_z]
    assert at_policy["false_accept"] == result["false_accept"]
    assert result["evidence"]["cross-fitted levels"]["refits_outside"] == at_policy["refits_outside"]
