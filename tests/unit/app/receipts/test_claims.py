"""What receipts say, and what they never say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from app.receipts import claims, wording
from app.receipts.claims import Asked, LogEvidence, LoggedEntry

REPOSITORY = Path(__file__).parents[4]
# Nobody can show either, so nothing may say it, in whatever case and however the line is broken.
FORBIDDEN = re.compile(
    r"(?<!never says that )no\s+influence\s+remains|deleted\s+from\s+the\s+model", re.IGNORECASE
)
# What people read: pages, answers, receipts, commands and documents. Design papers and tests may name the phrases.
READ_BY_PEOPLE = (
    "app/**/*.py",
    "app/**/*.html",
    "app/**/*.js",
    "cli/**/*.py",
    "worker/**/*.py",
    "docs/**/*.md",
)


def test_no_template_and_no_string_claims_that_a_model_knows_nothing() -> None:
    """R-38."""
    files = [path for pattern in READ_BY_PEOPLE for path in REPOSITORY.glob(pattern)]
    files.append(REPOSITORY / "README.md")
    assert len(files) > 100
    found = [
        f"{path.relative_to(REPOSITORY)}: {match[0]}"
        for path in files
        for match in FORBIDDEN.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("outcome", ["erased", "no_data"])
@pytest.mark.parametrize("method", ["ucan", None])
def test_every_statement_says_what_it_does_not_say(outcome: str, method: str | None) -> None:
    said = wording.completed(outcome, method, "pass", "c" * 64)
    assert not FORBIDDEN.search(said)
    assert said.endswith(wording.LIMITS)
    if outcome == "erased" and method:
        assert "The procedure ucan was executed, and the gate decided pass" in said


@pytest.mark.parametrize("decision", ["fail", "inconclusive"])
def test_a_statement_says_why_a_result_that_did_not_pass_serves(decision: str) -> None:
    why = "the policy lets such a result be served although some measures failed or could not be told"
    assert why in wording.completed("erased", "refit", decision, "c" * 64)
    assert why not in wording.completed("erased", "refit", "pass", "c" * 64)
    # Subjects of whom nothing can be told alone may have been judged together; their edit was not fitted anew.
    assert why not in wording.completed("erased", "least_change", decision, "c" * 64)


def entry(sequence: int, action: str, **data: object) -> LoggedEntry:
    leaf = json.dumps({"sequence": sequence, "action": action, "data": data})
    return LoggedEntry(sequence, action, f"2026-01-0{sequence}", data, leaf, ())


def test_a_request_of_an_earlier_release_says_what_is_not_on_record() -> None:
    """Its entries have neither outcomes nor parts, nor a commitment, and nobody wrote down the replicas."""
    completed = entry(3, "forget.completed", run="ur_1", version=None, requests=["fr_1"])
    claimed = entry(2, "run.claimed", run="ur_1", fence=1, policy_hash="c", requests=["fr_1"])
    log = LogEvidence("note", [claimed, completed])
    content = claims.completion("fr_1", {"due_at": "2026-02-01"}, "token", [], [], completed, log)
    assert content["not_recorded"] == [
        "subject_commitment",
        "completed_at",
        "outcome",
        "code",
        "parts",
        "replicas_acknowledged",
    ]
    accepted = claims.acceptance(
        Asked("fr_1", "2026-01-01", None, None), {"due_at": "2026-02-01", "epoch": 1}, log
    )
    assert accepted["not_recorded"] == ["subject_commitment"]


def test_what_was_asked_is_told_by_a_digest() -> None:
    """R-37. Whoever asked can compute it; the reason does not stand in the receipt."""
    asked = Asked("fr_1", "2026-01-01T00:00:00+00:00", "objection", "zd-1")
    content = json.dumps(claims.acceptance(asked, {"due_at": "d", "epoch": 1}, LogEvidence("note", [])))
    assert "objection" not in content
    assert claims.request_digest(asked, None) in content
    assert claims.request_digest(asked, None) != claims.request_digest(asked, "a commitment")
