"""Bodies of the forget endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.attempts.schemas import RequestAttemptView, SkippedView
from app.codes import DetailCode
from app.db.models import Attempt, ForgetRequest, RequestStatus, SkippedRung
from app.fields import Id
from app.forget_requests.deadlines import time_left
from app.links import Links
from app.subjects import subject_reference
from app.versions.parts import Part

Reason = Literal["withdrawn_consent", "objection", "no_longer_needed", "unlawful", "account_closed", "other"]

_WAITS_FOR = {
    RequestStatus.QUEUED: "a worker to claim the run",
    RequestStatus.UNLEARNING: "a candidate that passes the gate",
    RequestStatus.DEPLOYING: "every replica to serve the new version, and the destruction of what is older",
    RequestStatus.NEEDS_ATTENTION: "a person; see detail_code and the attempts, then POST …/retry",
}
# What a request waits for during an outage. It goes on by itself.
_WAITS_OUT: dict[str, str] = {
    DetailCode.STORE_FULL: "room in the store",
    DetailCode.STORE_READ_ONLY: "the store to take writes again",
    DetailCode.STORE_UNAVAILABLE: "the store to be reachable again",
    DetailCode.STORE_EMPTIED: "the store that the database knows; this one is empty: is it mounted?",
    DetailCode.MANIFEST_MISSING: "the live version to be in the store again; is it mounted?",
    DetailCode.DATABASE_UNAVAILABLE: "the run to be taken up again after the database was away",
    DetailCode.REPLICAS_SILENT: "every live replica to acknowledge the new version",
    DetailCode.OTHER_BASE: "a worker that was started with the base of the live version",
}


class ForgetBody(BaseModel):
    """The body of a forget request. All fields are optional."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason | None = None
    client_reference: str | None = Field(
        None,
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="the caller's own ticket number; it is stored and logged, so it must not identify the user",
    )


class ForgetUserBody(ForgetBody):
    """The body of a forget request, with the user's id. Any id is possible, even one that a path cannot carry."""

    user_id: Id


class ReceiptLinks(BaseModel):
    """The request's receipts. There is none of the completion until the request is completed."""

    acceptance: str
    completion: str | None


class ForgetRequestView(BaseModel):
    """A forget request as its caller sees it. It does not contain the user id, which is not stored."""

    id: str
    status: RequestStatus
    waits_for: str | None
    done: bool
    outcome: Literal["erased", "no_data"] | None
    detail_code: str | None
    subject_ref: str
    client_reference: str | None
    suppression_epoch: int
    received_at: datetime
    due_at: datetime
    overdue: bool
    seconds_left: int
    completed_at: datetime | None
    run: str | None
    receipts: ReceiptLinks

    @classmethod
    def of(cls, request: ForgetRequest, links: Links, now: datetime) -> ForgetRequestView:
        status = RequestStatus(request.status)
        done = status is RequestStatus.COMPLETED
        left = time_left(request.due_at, request.completed_at or now)
        return cls(
            id=request.id,
            status=status,
            waits_for=_WAITS_OUT.get(request.detail_code or "", _WAITS_FOR.get(status)),
            done=done,
            outcome=request.outcome,
            detail_code=request.detail_code,
            subject_ref=subject_reference(request.subject_hmac),
            client_reference=request.client_reference,
            suppression_epoch=request.epoch,
            received_at=request.received_at,
            due_at=request.due_at,
            overdue=left.total_seconds() < 0,
            seconds_left=int(left.total_seconds()),
            completed_at=request.completed_at,
            run=links.run(request.run_id) if request.run_id else None,
            receipts=ReceiptLinks(
                acceptance=links.receipt(request.id, "acceptance"),
                completion=links.receipt(request.id, "completion") if done else None,
            ),
        )


class AcceptedView(ForgetRequestView):
    """The answer to whoever has sent the user's id. `receipt_salt` opens the commitment to that id in the receipts.

    Nobody else is ever told the salt, so others cannot find out whose receipts they see.
    """

    receipt_salt: str


class ForgetRequestDetail(ForgetRequestView):
    """A forget request with all attempts and skipped rungs, of any run.

    ``parts`` says what was done for this person in each part of the service. Empty until the request is completed.
    """

    parts: list[Part]
    first_step: int
    attempts: list[RequestAttemptView]
    skipped: list[SkippedView]

    @classmethod
    def with_attempts(
        cls,
        request: ForgetRequest,
        attempts: Sequence[Attempt],
        skipped: Sequence[SkippedRung],
        links: Links,
        now: datetime,
        parts: Sequence[Part],
    ) -> ForgetRequestDetail:
        view = ForgetRequestView.of(request, links, now)
        return cls(
            **view.model_dump(),
            parts=list(parts) if view.done else [],
            first_step=request.first_step,
            attempts=RequestAttemptView.all_of(attempts, request, links),
            skipped=[SkippedView.of(one, links) for one in skipped],
        )
