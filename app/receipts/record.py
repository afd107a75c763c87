"""Reads from the database what a receipt says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.attempts import queries as attempt_queries
from app.attempts.schemas import MeasureView, RequestAttemptView
from app.attempts.service import record_digest
from app.audit import tree
from app.audit.events import (
    ForgetAccepted,
    ForgetCompleted,
    InteractionsErased,
    ReplicasAcknowledged,
    RowsReclaimed,
    RunAttempted,
    RunClaimed,
    VersionDestroyed,
    VersionPublished,
    VersionWithdrawn,
)
from app.audit.log import AuditLog
from app.db.models import Attempt, AuditEntry, ForgetRequest
from app.links import Links
from app.receipts.claims import Asked, LogEvidence, LoggedEntry
from app.signing.keys import Signer

# Of the run that completed the request.
_OF_THE_LAST_RUN = frozenset(
    {
        RunClaimed.action,
        RunAttempted.action,
        VersionPublished.action,
        VersionWithdrawn.action,
        ReplicasAcknowledged.action,
        InteractionsErased.action,
        RowsReclaimed.action,
        VersionDestroyed.action,
        ForgetCompleted.action,
    }
)
# Of the runs that it left before.
_OF_EARLIER_RUNS = frozenset({RunClaimed.action, RunAttempted.action})


class LogContradicted(Exception):
    """An entry that a receipt needs is missing, or was changed after it was appended. No receipt is issued."""


def asked(request: ForgetRequest) -> Asked:
    return Asked(request.id, request.received_at.isoformat(), request.reason, request.client_reference)


def last_entry(session: Session, request_id: str, action: str, size: int) -> AuditEntry:
    """The newest entry of this kind about the request.

    Raises:
        LogContradicted: there is none.
    """
    found = tree.naming(session, [request_id], [action], up_to=size)
    if not found:
        raise LogContradicted(f"no entry {action}")
    return found[-1]


def accepted_entry(session: Session, request_id: str, size: int) -> AuditEntry:
    return last_entry(session, request_id, ForgetAccepted.action, size)


def completed_entry(session: Session, request_id: str, size: int) -> AuditEntry:
    return last_entry(session, request_id, ForgetCompleted.action, size)


def supporting(session: Session, attempts: Sequence[Attempt], completed: AuditEntry) -> list[AuditEntry]:
    """The entries about the attempts and about the run that ended with `completed`, in order.

    Raises:
        LogContradicted: an attempt's row is not the one that the log vouches for.
    """
    last_run = completed.data["run"]
    tried = {(attempt.run_id, attempt.fence, attempt.number): attempt for attempt in attempts}
    fences = {(run, fence) for run, fence, _ in tried}
    runs = {last_run, *(run for run, _ in fences)}
    found = []
    for entry in tree.naming(session, runs, _OF_THE_LAST_RUN, up_to=completed.sequence):
        run = entry.data["run"]
        if entry.action not in (_OF_THE_LAST_RUN if run == last_run else _OF_EARLIER_RUNS):
            continue
        if entry.action == ForgetCompleted.action and entry.sequence != completed.sequence:
            # Other requests of the run were completed without waiting for a recipient.
            continue
        if entry.action == RunAttempted.action:
            attempt = tried.get((run, entry.data["fence"], entry.data["number"]))
            if attempt is None:
                continue
            # Entries of earlier releases have no digest of the attempt's row.
            if entry.data.get("record") not in (None, record_digest(attempt)):
                raise LogContradicted(f"the attempt of entry {entry.sequence} was changed")
        if entry.action == RunClaimed.action and run != last_run and (run, entry.data["fence"]) not in fences:
            continue
        found.append(entry)
    return found


def evidence(
    session: Session, audit: AuditLog, signer: Signer, entries: Sequence[AuditEntry], size: int
) -> LogEvidence:
    """These entries with a checkpoint of this size and the proofs.

    Raises:
        LogContradicted: an entry is not as it was appended, or not in the tree.
    """
    logged = []
    for entry in entries:
        if not audit.has_written(entry):
            raise LogContradicted(f"entry {entry.sequence} was changed")
        logged.append(
            LoggedEntry(
                sequence=entry.sequence,
                action=entry.action,
                recorded_at=entry.recorded_at.isoformat(),
                data=entry.data,
                leaf=tree.text_of(entry),
                proof=[each.hex() for each in tree.inclusion(session, entry.sequence, size)],
            )
        )
    return LogEvidence(signer.note(size, tree.root(session, size)), logged)


def attempts_of(session: Session, request: ForgetRequest) -> tuple[Sequence[Attempt], list[dict[str, Any]]]:
    """All attempts for the request, and what a receipt says of each: every measure with its bounds, and no prose."""
    attempts = attempt_queries.of_request(session, request.id)
    views = RequestAttemptView.all_of(attempts, request, Links())
    return attempts, [
        {
            "run": attempt.run_id,
            "fence": attempt.fence,
            "number": view.number,
            "step": view.step,
            "method": view.method,
            "config": view.config,
            "search": view.search,
            "started_at": view.started_at.isoformat(),
            "finished_at": view.finished_at.isoformat(),
            "policy_hash": attempt.policy_hash,
            "decision": view.decision,
            "accepted": attempt.accepted,
            "serves": view.accepted,
            "failed": view.error is not None,
            "measures": _measures(view.reasons),
            "subject_decision": None if view.subject is None else view.subject.decision,
            "subject_measures": [] if view.subject is None else _measures(view.subject.reasons),
        }
        for attempt, view in zip(attempts, views, strict=True)
    ]


def skipped_for(session: Session, request: ForgetRequest) -> list[dict[str, Any]]:
    """The rungs that were skipped for the request."""
    return [
        {"run": one.run_id, "step": one.step, "method": one.method, "reason": one.code}
        for one in attempt_queries.skipped_for_request(session, request.id)
    ]


def _measures(views: Sequence[MeasureView]) -> list[dict[str, Any]]:
    return [view.model_dump(exclude={"detail"}) for view in views]
