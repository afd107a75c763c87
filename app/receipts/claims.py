"""The content of receipts, from what is on record. The same record gives the same content.

Every time is text in UTC, every digest hexadecimal. docs/reference/receipts.md describes each claim.

Pure module: no I/O, no framework.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.receipts import wording
from inputs import canonical_json

TYPE = "erasure-receipt+jwt"


class Kind(StrEnum):
    ACCEPTANCE = "acceptance"
    COMPLETION = "completion"


@dataclass(frozen=True)
class LoggedEntry:
    """An entry of the audit log as a receipt has it. ``data`` is what the leaf holds, for building the claims."""

    sequence: int
    action: str
    recorded_at: str
    data: Mapping[str, Any]
    leaf: str
    proof: Sequence[str]


@dataclass(frozen=True)
class LogEvidence:
    """A signed checkpoint, and entries with their proofs of inclusion in it."""

    checkpoint: str
    entries: Sequence[LoggedEntry]

    def of(self, action: str) -> list[LoggedEntry]:
        return [entry for entry in self.entries if entry.action == action]

    def claim(self) -> dict[str, Any]:
        return {
            "checkpoint": self.checkpoint,
            "entries": [
                {"sequence": entry.sequence, "leaf": entry.leaf, "proof": list(entry.proof)}
                for entry in self.entries
            ],
        }


@dataclass(frozen=True)
class Asked:
    """The request's row, as far as receipts say it."""

    request: str
    received_at: str
    reason: str | None
    client_reference: str | None


def request_digest(asked: Asked, subject_commitment: str | None) -> str:
    """SHA-256 over the canonical JSON of what was asked. Whoever asked knows every part of it."""
    content = {
        "request": asked.request,
        "received_at": asked.received_at,
        "reason": asked.reason,
        "client_reference": asked.client_reference,
        "subject_commitment": subject_commitment,
    }
    return hashlib.sha256(canonical_json(content, ascii_only=True)).hexdigest()


def token_digest(token: str) -> str:
    """The hash by which a completion receipt names the acceptance receipt."""
    return hashlib.sha256(token.encode()).hexdigest()


def acceptance(asked: Asked, accepted: Mapping[str, Any], log: LogEvidence) -> dict[str, Any]:
    """The claims of an acceptance receipt.

    Args:
        accepted: the data of the entry `forget.accepted`.
    """
    committed = accepted.get("subject_commitment")
    # Requests of earlier releases are about whole people.
    scope = accepted.get("scope", "user")
    return {
        "kind": Kind.ACCEPTANCE,
        "statement": wording.accepted(
            asked.received_at,
            accepted["due_at"],
            accepted["epoch"],
            None if scope == "user" else accepted["selected_events"],
        ),
        "request": asked.request,
        "request_digest": request_digest(asked, committed),
        "subject_commitment": committed,
        "received_at": asked.received_at,
        "due_at": accepted["due_at"],
        "scope": scope,
        "selected_events": accepted.get("selected_events"),
        "suppression_epoch": accepted["epoch"] if scope == "user" else None,
        "not_recorded": [] if committed else ["subject_commitment"],
        "log": log.claim(),
    }


def completion(
    request: str,
    accepted: Mapping[str, Any],
    acceptance_token: str,
    attempts: Sequence[Mapping[str, Any]],
    skipped: Sequence[Mapping[str, Any]],
    completed: LoggedEntry,
    log: LogEvidence,
) -> dict[str, Any]:
    """The claims of a completion receipt.

    Args:
        attempts: all attempts for the request, as claims. `serves` is true of the one whose version serves it.
        completed: the entry `forget.completed`.
        log: that entry and those that support it, of all runs that worked for the request.
    """
    data = completed.data
    run = data["run"]
    outcome = (data.get("outcomes") or {}).get(request)
    claims_ = log.of("run.claimed")
    final = [entry for entry in claims_ if entry.data["run"] == run]
    published = [entry for entry in log.of("version.published") if entry.data["run"] == run]
    acknowledged = log.of("replicas.acknowledged")[-1:]
    erased = log.of("interactions.erased")[-1:]
    reclaimed = log.of("rows.reclaimed")[-1:]
    serving = next((attempt for attempt in attempts if attempt["serves"]), None)
    code = final[-1].data.get("code") if final else None
    scope = accepted.get("scope", "user")
    content: dict[str, Any] = {
        "kind": Kind.COMPLETION,
        "statement": wording.completed(
            outcome or "",
            serving["method"] if serving else None,
            serving["decision"] if serving else None,
            serving["policy_hash"] if serving else None,
            selection=scope != "user",
        ),
        "request": request,
        "subject_commitment": accepted.get("subject_commitment"),
        "acceptance_receipt": token_digest(acceptance_token),
        "scope": scope,
        "selected_events": accepted.get("selected_events"),
        "due_at": accepted["due_at"],
        "completed_at": data.get("completed_at"),
        "outcome": outcome,
        "run": run,
        "code": code,
        "policy_hash": final[-1].data["policy_hash"] if final else None,
        "parent_version": published[-1].data["parent"] if published else None,
        "version": data["version"],
        "attempts": list(attempts),
        "skipped": list(skipped),
        "parts": data.get("parts"),
        "replicas_acknowledged": (
            {
                "at": acknowledged[0].recorded_at,
                "replicas": acknowledged[0].data["replicas"],
                "version": acknowledged[0].data["version"],
            }
            if acknowledged
            else None
        ),
        "interactions_erased_at": erased[0].recorded_at if erased else None,
        "rows_reclaimed": reclaimed[0].data["result"] if reclaimed else None,
        "destroyed_versions": [
            {"version": entry.data["version"], "at": entry.recorded_at}
            for entry in log.of("version.destroyed")
        ],
    }
    needed = ("subject_commitment", "completed_at", "outcome", "code", "parts", "replicas_acknowledged")
    content["not_recorded"] = [name for name in needed if content[name] is None]
    content["log"] = log.claim()
    return content
