"""Requesting a consolidation, and what attenuation has added up to since the last exact fit."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from app.audit.log import AuditLog
from app.db.errors import NothingToConsolidate
from app.db.ledger import lock_ledger
from app.db.models import ConsolidationReason, Ledger, Run, RunKind, RunStatus, ServingPointer, Version


@dataclass(frozen=True)
class Requested:
    """``created`` is False when a consolidation waited or worked already; then nothing was changed."""

    run: Run
    created: bool


@dataclass(frozen=True)
class Spending:
    """What has been published since the last exact fit, which was at ``since``; None where no version is live.

    ``utility_loss`` is that of all edits together, relative to the exact version; below 0 for a gain.
    """

    since: datetime | None
    attenuations: int
    subjects: int
    utility_loss: float


def request(
    session: Session,
    audit: AuditLog,
    *,
    reason: ConsolidationReason,
    requested_by: str,
    patience: timedelta,
    now: datetime,
) -> Requested:
    """Queue a consolidation, unless one waits or works: then that one.

    Args:
        patience: how long it lets forget runs go first.

    Raises:
        NothingToConsolidate: no version is live.
    """
    ledger = lock_ledger(session)
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
        status=RunStatus.QUEUED,
        created_at=now,
    )
    session.add(run)
    session.flush()
    audit.append(
        session,
        ledger,
        actor=requested_by,
        action="consolidation.requested",
        data={"run": run.id, "reason": reason},
    )
    return Requested(run, created=True)


def may_start_by_itself(session: Session) -> bool:
    """Whether a spent budget may request a consolidation: none is under way, and the last did not fail on this version.

    Repeating one that needs attention would repeat its cost every few seconds. The next attenuation, or a person,
    gives it another try.
    """
    newest = session.scalars(
        select(Run)
        .where(Run.kind == RunKind.CONSOLIDATION)
        .order_by(Run.created_at.desc(), Run.fence.desc())
        .limit(1)
    ).first()
    if newest is None or newest.status == RunStatus.COMPLETED:
        return True
    live = session.get_one(ServingPointer, 1).digest
    return newest.status == RunStatus.NEEDS_ATTENTION and newest.parent_digest != live


def spending(session: Session) -> Spending:
    """Add up the live version and its parents, back to the last exact one."""
    lineage = _lineage(session)
    if not lineage:
        return Spending(None, 0, 0, 0.0)
    edits = [version for version in lineage if not version.exact]
    kept = math.prod(1.0 + (version.utility_change or 0.0) for version in edits)
    return Spending(
        since=min(version.published_at for version in lineage),
        attenuations=len(edits),
        subjects=sum(version.subjects for version in edits),
        utility_loss=1.0 - kept if edits else 0.0,
    )


def _lineage(session: Session) -> Sequence[Version]:
    """The live version and those it descends from, up to and with the last exact one that is on record."""
    live = (
        select(Version)
        .join(ServingPointer, ServingPointer.digest == Version.digest)
        .cte("lineage", recursive=True)
    )
    parent = aliased(Version)
    lineage = live.union_all(
        select(parent).where(parent.digest == live.c.parent_digest, live.c.exact.is_(False))
    )
    return session.scalars(select(Version).join(lineage, lineage.c.digest == Version.digest)).all()


def announce_budget(session: Session, budget: Mapping[str, Any]) -> None:
    """Let the gateways, which know no policy, show what this worker's policy allows."""
    ledger = lock_ledger(session)
    if ledger.consolidation_budget != budget:
        ledger.consolidation_budget = dict(budget)


def announced_budget(session: Session) -> dict[str, Any]:
    """The limits by name, as the worker that started last announced them; empty before the first."""
    return dict(session.scalars(select(Ledger.consolidation_budget)).one() or {})
