"""Bodies of the forget endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.attempts.schemas import RequestAttemptView, SkippedView
from app.clock.deadlines import Regime, acknowledge_by
from app.codes import DetailCode
from app.db.models import Attempt, ForgetRequest, ForgetTarget, RequestScope, RequestStatus, SkippedRung
from app.db.models.statuses import SETTLED
from app.errors import Refusal
from app.fields import Id, Instant, Time, Zone
from app.forget_requests.deadlines import time_left
from app.forget_requests.decisions import Action, allowed
from app.forget_requests.duties import Duty
from app.forget_requests.dwelling import is_stalled
from app.forget_requests.policy import AskedClock, RequestPolicy
from app.links import Links
from app.selections.criteria import MOST_ITEMS, Criteria, item_digests
from app.subjects import subject_reference
from app.targets.schemas import TargetView
from app.versions.parts import Part

Reason = Literal["withdrawn_consent", "objection", "no_longer_needed", "unlawful", "account_closed", "other"]

DenialReason = Literal[
    "insufficient_verification",
    "no_match",
    "legal_obligation",
    "legal_claims",
    "public_interest",
    "freedom_of_expression",
    "outside_jurisdiction",
    "manifestly_unfounded",
    "suspected_fraud",
    "other",
]
HoldReason = Literal["legal_claims", "legal_obligation", "identity_doubt", "other"]
CancelReason = Literal["changed_mind", "sent_by_mistake", "duplicate", "other"]
ExtendReason = Literal["complexity", "number_of_requests"]
ExpediteReason = Literal["deadline", "authority", "other"]

VerificationMethod = Literal["email", "telephone", "post", "in_person", "account", "document", "other"]

_WAITS_FOR = {
    RequestStatus.PENDING_VERIFICATION: "somebody to make sure who asks: POST …/verify",
    RequestStatus.PENDING_APPROVAL: "a second person to approve it: POST …/approve",
    RequestStatus.SCHEDULED: "the end of its cancel window",
    RequestStatus.ON_HOLD: "a person to end the hold: POST …/release",
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
    DetailCode.STORE_UNSUITABLE: "a bucket that creates only what is absent and keeps nothing that is deleted",
    DetailCode.MANIFEST_MISSING: "the live version to be in the store again; is it mounted?",
    DetailCode.DATABASE_UNAVAILABLE: "the run to be taken up again after the database was away",
    DetailCode.REPLICAS_SILENT: "every live replica to acknowledge the new version",
    DetailCode.ENGINES_SILENT: "a gateway that fell silent while its vLLM server may hold the person; start it again, "
    "or see lethe replicas retire",
    DetailCode.OTHER_BASE: "a worker that was started with the base of the live version",
    DetailCode.RECIPIENTS_SILENT: "every mandatory recipient to acknowledge; see targets",
}


_WITHDRAWN = {RequestStatus.CANCELLED: "cancelled", RequestStatus.DENIED: "denied"}


class SelectionBody(BaseModel):
    """Which of the person's events to forget: those that meet all criteria, of which at least one is needed.

    ``after`` is the earliest time and ``before`` the first that is too late, as in `POST /interactions`. Only events up
    to the moment of the request are selected.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
                for name in ("items", "after", "before")
            ]
        },
    )

    items: Annotated[list[Id], Field(min_length=1, max_length=MOST_ITEMS)] | None = None
    after: Time | None = None
    before: Time | None = None

    @model_validator(mode="after")
    def _require_a_criterion(self) -> Self:
        if self.items is None and self.after is None and self.before is None:
            raise Refusal("no_criterion", "name items, after or before; without them, forget the whole user")
        if self.after is not None and self.before is not None and self.after >= self.before:
            raise Refusal("empty_period", "after must be earlier than before")
        return self

    def criteria(self, subject_hmac: str, now: datetime) -> Criteria:
        """The criteria for one subject."""
        items = None if self.items is None else item_digests(subject_hmac, self.items)
        return Criteria(items, self.after, self.before, until=int(now.timestamp()))


class ForgetBody(BaseModel):
    """The body of a forget request. All fields are optional."""

    model_config = ConfigDict(extra="forbid")

    interactions: SelectionBody | None = Field(
        None, description="only these of the person's events; the person stays personalised on the others"
    )
    reason: Reason | None = None
    regime: Regime | None = Field(
        None, description="the rules of the deadline; the request policy's otherwise"
    )
    zone: Zone | None = Field(
        None, max_length=64, description="the person's time zone, an IANA name: a day ends there"
    )
    requested_at: Instant | None = Field(
        None, description="when the person asked, if that was earlier; it can only shorten the time"
    )
    client_reference: str | None = Field(
        None,
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="the caller's own ticket number; it is stored and logged, so it must not identify the user",
    )

    @property
    def clock(self) -> AskedClock:
        """What the caller says about the clock."""
        return AskedClock(self.regime, self.zone, self.requested_at)


class ForgetUserBody(ForgetBody):
    """The body of a forget request, with the user's id. Any id is possible, even one that a path cannot carry."""

    user_id: Id


class _Decision(BaseModel):
    model_config = ConfigDict(extra="forbid")


class VerifyBody(_Decision):
    """``method``: how the person was reached, or known. Nothing about the person belongs here."""

    method: VerificationMethod


class DenyBody(_Decision):
    reason: DenialReason


class HoldBody(_Decision):
    reason: HoldReason
    review_at: Instant = Field(description="when somebody must look at the hold again")


class ReadmitBody(_Decision):
    reason: Literal["new_consent", "new_contract"]


class CancelBody(_Decision):
    reason: CancelReason = "changed_mind"


class ExtendBody(_Decision):
    """``subject_told`` says that the person was told of the extension and its reason, as the law demands."""

    reason: ExtendReason
    subject_told: Literal[True]


class ExpediteBody(_Decision):
    reason: ExpediteReason


class ReceiptLinks(BaseModel):
    """The request's receipts: of the acceptance once it is verified, of the completion once it is completed."""

    acceptance: str | None
    completion: str | None


class ForgetRequestView(BaseModel):
    """A forget request as its caller sees it. It does not contain the user id, which is not stored.

    ``status_since``: when it came into this state; null if an earlier release moved it and no worker has looked yet.
    ``stalled``: it has stayed there for longer than the request policy allows.
    ``outcome``: null until the request is completed, cancelled or denied.
    ``acknowledge_by``: until when the person must be told that it has arrived, where the regime says so. Lethe tells
    the caller at once, and the caller tells the person.
    """

    id: str
    scope: RequestScope
    selected_events: int | None
    status: RequestStatus
    status_since: datetime | None
    stalled: bool
    waits_for: str | None
    done: bool
    actions: list[Action]
    outcome: Literal["erased", "no_data", "cancelled", "denied"] | None
    detail_code: str | None
    subject_ref: str
    client_reference: str | None
    suppression_epoch: int | None
    received_at: datetime
    regime: Regime
    zone: str
    acknowledge_by: datetime | None
    due_at: datetime
    overdue: bool
    seconds_left: int
    verify_until: datetime | None
    cancel_until: datetime | None
    extended_at: datetime | None
    review_at: datetime | None
    denial_proposed: bool
    readmission_proposed: bool
    readmitted_at: datetime | None
    completed_at: datetime | None
    withdrawn_at: datetime | None
    run: str | None
    receipts: ReceiptLinks

    @classmethod
    def of(
        cls, request: ForgetRequest, links: Links, now: datetime, policy: RequestPolicy
    ) -> ForgetRequestView:
        status = RequestStatus(request.status)
        done = status in SETTLED
        left = time_left(request.due_at, request.completed_at or request.withdrawn_at or now)
        return cls(
            id=request.id,
            scope=RequestScope(request.scope),
            selected_events=request.selected_events,
            status=status,
            status_since=request.status_since if request.since_status == request.status else None,
            stalled=is_stalled(request, policy.longest_hours, now),
            waits_for=_WAITS_OUT.get(request.detail_code or "", _WAITS_FOR.get(status)),
            done=done,
            actions=allowed(request, now),
            # It is known before the last replica has let go, and would be read as the end.
            outcome=_WITHDRAWN.get(status, request.outcome if done else None),
            detail_code=request.detail_code,
            subject_ref=subject_reference(request.subject_hmac),
            client_reference=request.client_reference,
            suppression_epoch=request.epoch if request.verify_until is None else None,
            received_at=request.received_at,
            regime=Regime(request.regime),
            zone=request.zone,
            acknowledge_by=acknowledge_by(
                Regime(request.regime), request.clock_started_at or request.received_at, request.zone
            ),
            due_at=request.due_at,
            overdue=left.total_seconds() < 0,
            seconds_left=int(left.total_seconds()),
            verify_until=request.verify_until,
            cancel_until=request.cancel_until,
            extended_at=request.extended_at,
            review_at=request.review_at,
            denial_proposed=request.denial_proposed_by is not None and not done,
            readmission_proposed=request.readmission_proposed_by is not None
            and request.readmitted_at is None,
            readmitted_at=request.readmitted_at,
            completed_at=request.completed_at,
            withdrawn_at=request.withdrawn_at,
            run=links.run(request.run_id) if request.run_id else None,
            receipts=ReceiptLinks(
                acceptance=links.receipt(request.id, "acceptance") if request.verify_until is None else None,
                completion=links.receipt(request.id, "completion")
                if status is RequestStatus.COMPLETED
                else None,
            ),
        )


class ForgetRequestDetail(ForgetRequestView):
    """A forget request with all attempts and skipped rungs, of any run.

    ``parts`` says what was done for this person in each part of the service. Empty until the request is completed.
    ``duties`` says what must be done before it is completed, in this order, and what is done already. A request that
    was cancelled or denied has none.
    ``targets`` has the recipients that were told of the request: other systems that hold the person.
    ``predicted_completion`` comes from what the latest runs took. It is no promise: `due_at` is the deadline.
    """

    predicted_completion: datetime | None = Field(
        description="null if nothing was measured yet, or if a person must act first"
    )
    duties: list[Duty]
    parts: list[Part]
    targets: list[TargetView]
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
        policy: RequestPolicy,
        duties: Sequence[Duty],
        parts: Sequence[Part],
        targets: Sequence[ForgetTarget],
        predicted_completion: datetime | None,
    ) -> ForgetRequestDetail:
        view = ForgetRequestView.of(request, links, now, policy)
        return cls(
            **view.model_dump(),
            predicted_completion=predicted_completion,
            duties=list(duties),
            parts=list(parts) if view.status is RequestStatus.COMPLETED else [],
            targets=[TargetView.of(one) for one in targets],
            first_step=request.first_step,
            attempts=RequestAttemptView.all_of(attempts, request, links),
            skipped=[SkippedView.of(one, links) for one in skipped],
        )
