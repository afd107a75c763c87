"""How much attenuation has added up since the last exact fit, and how much the budget allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from app.db.models import Ledger, Run, RunKind, RunStatus, ServingPointer, Version


@dataclass(frozen=True)
class Spending:
    """The sums over all versions since the last exact fit, which was at ``since`` (None if no version is live).

    ``utility_loss`` is the relative loss of all edits together against the exact version; negative for a gain.
    """

    since: datetime | None
    attenuations: int
    subjects: int
    utility_loss: float


def may_start_by_itself(session: Session) -> bool:
    """Whether a spent budget may request a consolidation: none is under way, and the last did not fail on this version.

    A failed consolidation that is repeated at once would cost a re-fit every few seconds. It is tried again after the
    next attenuation, or when a person asks.
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
    """The live version and its ancestors, up to and including the last exact one on record."""
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


def announced_budget(session: Session) -> dict[str, Any]:
    """The limits by name, as announced by the worker that started last; empty before the first."""
    return dict(session.scalars(select(Ledger.consolidation_budget)).one() or {})
