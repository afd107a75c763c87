"""What must be done before a request is completed, and what of it is done already (R-3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import (
    ForgetRequest,
    ForgetTarget,
    RequestStatus,
    Run,
    RunStage,
    RunStatus,
    Suppression,
    Version,
)
from app.versions import queries as versions

Name = Literal["suppression", "model", "replicas", "training_set", "old_versions", "recipients"]
DutyState = Literal["waiting", "working", "done", "lifted", "not_needed"]

_WITHDRAWN = (RequestStatus.CANCELLED, RequestStatus.DENIED)
_SATISFIED = ("done", "lifted", "not_needed")


class Duty(BaseModel):
    """One thing that must be done before the request is completed.

    ``suppression``: nothing recommends from the person's events, and none is stored or trained on; for a request for
    some interactions, from these. ``model``: the version that serves does not know them. ``replicas``: every replica
    serves that version, and has let go of the one before. ``training_set``: the stored events are deleted.
    ``old_versions``: every version that had read them is destroyed. ``recipients``: every mandatory one of `targets`
    has acknowledged.

    ``lifted`` is a suppression of a person who has come back since.
    """

    name: Name
    state: DutyState
    at: datetime | None = Field(
        description="by when it was done, or when it was lifted; null if it is not, or if no time was kept"
    )
    detail_code: str | None = Field(
        description="why it cannot go on by itself, for the first one that is not done"
    )


def of_request(session: Session, request: ForgetRequest, told: Sequence[ForgetTarget]) -> list[Duty]:
    """The duties of a request, in the order in which they are done; none for one that was cancelled or denied."""
    suppression = session.scalar(select(Suppression).where(Suppression.epoch == request.epoch))
    run = None if request.run_id is None else session.get(Run, request.run_id)
    made = None if run is None else versions.of_run(session, run.id)
    return duties(request, suppression, run, made, told)


def duties(
    request: ForgetRequest,
    suppression: Suppression | None,
    run: Run | None,
    made: Version | None,
    told: Sequence[ForgetTarget],
) -> list[Duty]:
    """As `of_request` says, from rows.

    Args:
        run: the run that has the request, or had it when it ended.
        made: the version that this run has published, if any.
        told: the recipients that were told.
    """
    status = RequestStatus(request.status)
    if status in _WITHDRAWN:
        return []
    found = [
        _suppression(request, suppression),
        _model(request, made),
        _replicas(request, run),
        _done("training_set", request.erased_at or request.completed_at),
        _old_versions(request, run),
        _recipients(request, told),
    ]
    for duty in found:
        if duty.state not in _SATISFIED:
            duty.detail_code = request.detail_code
            break
    return found


def _duty(name: Name, state: DutyState, at: datetime | None = None) -> Duty:
    return Duty(name=name, state=state, at=at, detail_code=None)


def _done(name: Name, at: datetime | None) -> Duty:
    return _duty(name, "waiting" if at is None else "done", at)


def _suppression(request: ForgetRequest, row: Suppression | None) -> Duty:
    if request.verify_until is not None:
        return _duty("suppression", "waiting")
    if row is None:
        # A selection; when it was made is not kept.
        return _duty("suppression", "done")
    if row.lifted_at is not None:
        return _duty("suppression", "lifted", row.lifted_at)
    return _duty("suppression", "done", row.suppressed_at)


def _model(request: ForgetRequest, made: Version | None) -> Duty:
    if request.outcome == "no_data":
        return _duty("model", "not_needed")
    match RequestStatus(request.status):
        case RequestStatus.COMPLETED | RequestStatus.DEPLOYING:
            # Without a version, the live one was withdrawn, and the service gives the fallback.
            return _duty("model", "done", request.erased_at if made is None else made.published_at)
        case RequestStatus.UNLEARNING:
            return _duty("model", "working")
    return _duty("model", "waiting")


def _replicas(request: ForgetRequest, run: Run | None) -> Duty:
    if request.outcome == "no_data":
        return _duty("replicas", "not_needed")
    match RequestStatus(request.status):
        case RequestStatus.COMPLETED:
            return _duty("replicas", "done", request.erased_at or request.completed_at)
        case RequestStatus.DEPLOYING if run is not None and run.stage in (RunStage.ERASING, RunStage.DONE):
            # Nothing is deleted before every replica has acknowledged.
            return _duty("replicas", "done", request.erased_at)
        case RequestStatus.DEPLOYING:
            return _duty("replicas", "working")
    return _duty("replicas", "waiting")


def _old_versions(request: ForgetRequest, run: Run | None) -> Duty:
    if request.outcome == "no_data":
        return _duty("old_versions", "not_needed")
    if request.status == RequestStatus.COMPLETED:
        finished = None if run is None else run.finished_at
        return _duty("old_versions", "done", finished or request.completed_at)
    if request.status == RequestStatus.DEPLOYING and run is not None:
        if run.status == RunStatus.COMPLETED:
            return _duty("old_versions", "done", run.finished_at)
        if run.stage == RunStage.ERASING:
            return _duty("old_versions", "working")
    return _duty("old_versions", "waiting")


def _recipients(request: ForgetRequest, told: Sequence[ForgetTarget]) -> Duty:
    mandatory = [one for one in told if one.mandatory]
    if mandatory:
        times = [one.acknowledged_at for one in mandatory]
        if None in times:
            return _duty("recipients", "working")
        return _duty("recipients", "done", max(time for time in times if time is not None))
    # Recipients are told when the events are deleted, so until then nobody knows whether there are any.
    told_by_now = request.erased_at is not None or request.status == RequestStatus.COMPLETED
    return _duty("recipients", "not_needed" if told_by_now else "waiting")
