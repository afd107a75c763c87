"""Requesting a consolidation, and announcing the budget for attenuation."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.events import ConsolidationRequested
from app.audit.transaction import Transaction
from app.db.errors import NothingToConsolidate
from app.db.ledger import lock_ledger
from app.db.models import ConsolidationReason, Run, RunKind, RunStatus, ServingPointer
from app.outbox import service as outbox
from app.outbox.service import Topic
from app.runs.states import CREATED


@dataclass(frozen=True)
class Requested:
    """``created`` is False if a consolidation waited or worked already. Then nothing was changed."""

    run: Run
    created: bool


def request(
    transaction: Transaction,
    *,
    reason: ConsolidationReason,
    requested_by: str,
    patience: timedelta,
    now: datetime,
) -> Requested:
    """Queue a consolidation. If one waits or works already, return that one.

    Args:
        patience: how long the consolidation lets forget runs go first.

    Raises:
        NothingToConsolidate: no version is live.
    """
    session = transaction.session
    existing = session.scalars(
        select(Run).where(
            Run.kind == RunKind.CONSOLIDATION, Run.status.in_((RunStatus.QUEUED, RunStatus.RUNNING))
        )
    ).first()
    if existing is not None:
        return Requested(existing, created=False)
    if session.get_one(ServingPointer, 1).digest is None:
        raise NothingToConsolidate
    run = Run(
        id=f"ur_{uuid.uuid4().hex}",
        kind=RunKind.CONSOLIDATION,
        reason=reason,
        yields_until=now + patience,
        status=CREATED,
        created_at=now,
    )
    session.add(run)
    session.flush()
    outbox.put(session, Topic.RUN_WAITING, run.id, now=now)
    transaction.record(ConsolidationRequested(run=run.id, reason=reason), actor=requested_by)
    return Requested(run, created=True)


def announce_budget(session: Session, budget: Mapping[str, Any]) -> None:
    """Store the budget of this worker's policy, so that gateways, which have no policy, can show it."""
    ledger = lock_ledger(session)
    if ledger.consolidation_budget != budget:
        ledger.consolidation_budget = dict(budget)
