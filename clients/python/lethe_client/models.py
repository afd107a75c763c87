"""What the API answers with. Fields that a newer service adds are left out, and new values of states are taken."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Reason = Literal["withdrawn_consent", "objection", "no_longer_needed", "unlawful", "account_closed", "other"]
Status = Literal[
    "pending_verification",
    "pending_approval",
    "scheduled",
    "on_hold",
    "queued",
    "unlearning",
    "deploying",
    "completed",
    "needs_attention",
    "cancelled",
    "denied",
]
VerificationMethod = Literal["email", "telephone", "post", "in_person", "account", "document", "other"]
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
ReadmitReason = Literal["new_consent", "new_contract"]


Regime = Literal["gdpr", "uk_gdpr", "ccpa", "policy"]


class Model(BaseModel):
    """The base of all answers: immutable."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ReceiptLinks(Model):
    """The links of a request's receipts: None before it is verified, or completed."""

    acceptance: str | None
    completion: str | None


class ForgetRequest(Model):
    """A forget request. ``actions`` is what may be done with it now, by a key with the scope for it."""

    id: str
    scope: str
    selected_events: int | None
    status: str
    status_since: datetime | None
    stalled: bool
    waits_for: str | None
    done: bool
    actions: list[str]
    outcome: str | None
    detail_code: str | None
    subject_ref: str
    client_reference: str | None
    suppression_epoch: int | None
    received_at: datetime
    regime: str
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


class AcceptedRequest(ForgetRequest):
    """The answer to `forget`.

    ``existing``: there was such a request before, and nothing changed. ``receipt_salt`` opens the commitment to the
    user's id in receipts: keep it with your ticket.
    """

    existing: bool
    receipt_salt: str | None


class Part(Model):
    """A part of the service that may know a user, and what was done about it."""

    name: str
    state: str
    detail: str


class Measure(Model):
    """One measure of the gate with its bounds; a bound that is None is open."""

    measure: str
    value: float | None
    low: float | None
    high: float | None
    passed: bool | None
    detail: str
    binding: bool


class SubjectVerdict(Model):
    """The gate's verdict on one request."""

    request: str | None
    decision: str
    reasons: list[Measure]
    in_batch: bool


class Verdict(Model):
    """The gate's verdict on a candidate."""

    error: str | None
    decision: str | None
    run_decision: str | None
    policy_hash: str | None
    reasons: list[Measure]
    subjects: list[SubjectVerdict]


class Tried(Model):
    """One rung of the ladder as it was tried."""

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


class RequestAttempt(Tried):
    """An attempt as one request may see it."""

    run: str
    run_decision: str | None
    error: str | None
    reasons: list[Measure]
    subject: SubjectVerdict | None


class Attempt(Tried):
    """An attempt of a run, with every verdict."""

    fence: int
    requests: list[str]
    verdict: Verdict
    report: dict[str, Any]


class Skipped(Model):
    """A rung that was not tried."""

    step: int
    method: str
    config: dict[str, Any]
    reason: str
    why: str
    skipped_at: datetime
    run: str


class Target(Model):
    """Another system that holds the user, and whether it has done its part. The request waits if it is mandatory."""

    name: str
    mandatory: bool
    state: str
    at: datetime


class Duty(Model):
    """One thing that must be done before a request is completed. ``at``: by when it was done, or when it was lifted."""

    name: str
    state: str
    at: datetime | None
    detail_code: str | None


class ForgetRequestDetail(ForgetRequest):
    """A forget request with every attempt; ``parts`` is empty until it is completed.

    ``predicted_completion`` comes from what earlier runs took, and is no promise.
    """

    predicted_completion: datetime | None
    duties: list[Duty]
    parts: list[Part]
    targets: list[Target]
    first_step: int
    attempts: list[RequestAttempt]
    skipped: list[Skipped]


class ForgetRequestPage(Model):
    """Some forget requests. ``next_cursor`` is None on the last page."""

    forget_requests: list[ForgetRequest]
    next_cursor: str | None


class OutcomeStatistics(Model):
    """A year's requests with one outcome."""

    outcome: str
    requests: int
    median_days: float


class YearStatistics(Model):
    """The requests received in one calendar year in UTC."""

    year: int
    received: int
    closed: int
    open: int
    overdue: int
    median_days: float | None
    outcomes: list[OutcomeStatistics]


class ErasureStatistics(Model):
    """The figures of each year, the latest first."""

    years: list[YearStatistics]


class Run(Model):
    """One run on a worker."""

    id: str
    kind: str
    reason: str | None
    status: str
    stage: str
    progress: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    claims: int
    parent: str | None
    version: str | None
    covers_epoch: int | None
    policy_hash: str | None
    detail_code: str | None
    detail: str | None


class RunDetail(Run):
    """A run with the requests that it serves, its attempts, and the rungs that it skipped."""

    requests: list[str]
    attempts: list[Attempt]
    skipped: list[Skipped]


class RunList(Model):
    """Runs, the newest first."""

    runs: list[Run]


class Item(Model):
    """One recommended item."""

    item_id: str
    title: str
    score: float | None


class Recommendation(Model):
    """The items for a user, and the version that computed them. ``fallback_reason`` says why it is not personalised."""

    items: list[Item]
    personalised: bool
    fallback_reason: str | None
    version: str
    generation: int | None
    retriever: str | None


class IngestResult(Model):
    """What became of the events of one call."""

    stored: int
    duplicates: int
    dropped_suppressed: int
    dropped_taken_down: int
    dropped_unknown_item: int


class Interaction(BaseModel):
    """One event to store. ``timestamp`` is in seconds since 1970, or in milli-, micro- or nanoseconds."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    item_id: str
    timestamp: int | float
    rating: float | None = None
