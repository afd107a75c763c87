"""Attempts as the API and the dashboard show them: the rungs tried, and every measure with its bounds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from app.attempts.reasons import why_judged, why_judged_for, why_skipped
from app.db.models import Attempt, ForgetRequest, RequestStatus, SkippedRung
from app.links import Links


class MeasureView(BaseModel):
    """One measure with its bounds; a null bound is open. `passed` is null if the data cannot tell.

    A measure that is not `binding` is on record and decides nothing.
    """

    measure: str
    value: float | None
    low: float | None
    high: float | None
    passed: bool | None
    detail: str
    binding: bool = True


class SubjectVerdictView(BaseModel):
    """The gate's verdict on one request's subject. `request` is null in records of an earlier release.

    `in_batch`: the data could not decide about this subject alone, so the gate judged several such subjects together.
    """

    request: str | None
    decision: str
    reasons: list[MeasureView]
    in_batch: bool = False


class VerdictView(BaseModel):
    """The gate's verdict on a candidate. If the method failed, only `error` is set."""

    error: str | None = None
    decision: str | None = None
    run_decision: str | None = None
    policy_hash: str | None = None
    reasons: list[MeasureView] = []
    subjects: list[SubjectVerdictView] = []

    @classmethod
    def of(cls, attempt: Attempt, links: Links) -> VerdictView:
        verdict = attempt.verdict
        requests = attempt.requests or []
        subjects = [
            SubjectVerdictView(
                request=links.request(requests[place]) if place < len(requests) else None,
                decision=subject["decision"],
                # An earlier release recorded one reason only.
                reasons=[MeasureView(**reason) for reason in subject.get("reasons") or [subject["reason"]]],
                in_batch=place in verdict.get("batch", []),
            )
            for place, subject in enumerate(verdict.get("subjects", []))
        ]
        return cls(**{**verdict, "subjects": subjects})


class _Tried(BaseModel):
    """The method, its configuration, and how long it ran. If a strength was searched, `search` has every value tried.
    `why` is the gate's verdict in a sentence.
    """

    number: int
    step: int
    method: str
    config: dict[str, Any]
    search: dict[str, Any] | None
    started_at: datetime
    finished_at: datetime
    seconds: float
    decision: str
    accepted: bool
    why: str


class SkippedView(BaseModel):
    """A rung that was not tried. `reason` is a code, `why` says the same in a sentence."""

    step: int
    method: str
    config: dict[str, Any]
    reason: str
    why: str
    skipped_at: datetime
    run: str

    @classmethod
    def of(cls, skipped: SkippedRung, links: Links) -> SkippedView:
        return cls(
            step=skipped.step,
            method=skipped.method,
            config=skipped.config,
            reason=skipped.code,
            why=why_skipped(skipped.code, skipped.detail),
            skipped_at=skipped.skipped_at,
            run=links.run(skipped.run_id),
        )


class AttemptView(_Tried):
    """One rung of the ladder, tried on some of the run's requests. `accepted`: it was let through for at least one."""

    fence: int
    requests: list[str]
    verdict: VerdictView
    report: dict[str, Any]

    @classmethod
    def of(cls, attempt: Attempt, links: Links) -> AttemptView:
        return cls(
            **_tried(attempt),
            accepted=attempt.accepted,
            why=why_judged(attempt),
            fence=attempt.fence,
            requests=[links.request(request) for request in attempt.requests or []],
            verdict=VerdictView.of(attempt, links),
            report=attempt.report,
        )


class RequestAttemptView(_Tried):
    """An attempt as one request may see it: with the verdicts on this request and on the run, and no others.

    `accepted`: the gate let it through, and its version serves this request.
    """

    run: str
    run_decision: str | None
    error: str | None
    reasons: list[MeasureView]
    subject: SubjectVerdictView | None

    @classmethod
    def all_of(
        cls, attempts: Sequence[Attempt], request: ForgetRequest, links: Links
    ) -> list[RequestAttemptView]:
        """The attempts that named this request, in their order."""
        serving = None
        # A published request belongs to the run whose version serves it. Before publication no version does.
        if request.status in (RequestStatus.DEPLOYING, RequestStatus.COMPLETED):
            # A run that was interrupted before it published may have accepted an attempt under an earlier fence too.
            accepted = [one for one in attempts if one.accepted and one.run_id == request.run_id]
            serving = accepted[-1] if accepted else None
        return [cls._of(attempt, request, links, serves=attempt is serving) for attempt in attempts]

    @classmethod
    def _of(
        cls, attempt: Attempt, request: ForgetRequest, links: Links, *, serves: bool
    ) -> RequestAttemptView:
        verdict = VerdictView.of(attempt, links)
        own = links.request(request.id)
        return cls(
            **_tried(attempt),
            accepted=serves,
            why=why_judged_for(attempt, request.id, serves=serves),
            run=links.run(attempt.run_id),
            run_decision=verdict.run_decision,
            error=verdict.error,
            reasons=verdict.reasons,
            subject=next((subject for subject in verdict.subjects if subject.request == own), None),
        )


def _tried(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.step if attempt.number is None else attempt.number,
        "step": attempt.step,
        "method": attempt.method,
        "config": attempt.config,
        "search": attempt.search,
        "started_at": attempt.started_at,
        "finished_at": attempt.finished_at,
        "seconds": round((attempt.finished_at - attempt.started_at).total_seconds(), 3),
        "decision": attempt.decision,
    }
