"""Requests a consolidation when the policy's budget for attenuation is spent, or for an item that was taken down."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.consolidations import queries as consolidation_queries
from app.consolidations import service as consolidations
from app.consolidations.queries import Spending
from app.db.clock import database_now
from app.db.models import ConsolidationReason
from app.db.session import Database
from app.settings import Settings
from app.takedowns import queries as takedowns
from unlearning import ConsolidationBudget, Spent, consolidation_due


def request_if_due(
    database: Database,
    audit: AuditLog,
    settings: Settings,
    budget: ConsolidationBudget,
    *,
    for_takedowns: bool = False,
) -> str | None:
    """Request a consolidation if one is due; the id of its run, or None.

    Args:
        for_takedowns: whether one is due as long as an item was taken down and is not erased. One that is under way may
            have read its data before the takedown; then another one follows it.

    Raises:
        DatabaseUnavailable: nothing was changed; look again later.
    """

    def due(session: Session, now: datetime) -> ConsolidationReason | None:
        spending = consolidation_queries.spending(session)
        item = _due(spending, budget, now)
        if item is None and for_takedowns and spending.since is not None and takedowns.pending(session):
            return ConsolidationReason.TAKEDOWN
        return item

    with database.read() as session:
        if due(session, database_now(session)) is None:
            return None
    with Transaction.begin(database, audit) as transaction:
        # Check again under the lock: another worker may have requested one meanwhile.
        now = transaction.now()
        item = due(transaction.session, now)
        if item is None or not consolidation_queries.may_start_by_itself(transaction.session):
            return None
        requested = consolidations.request(
            transaction,
            reason=item,
            requested_by="worker",
            patience=timedelta(seconds=settings.consolidation_patience_seconds),
            now=now,
        )
        return requested.run.id if requested.created else None


def _due(spending: Spending, budget: ConsolidationBudget, now: datetime) -> ConsolidationReason | None:
    if spending.since is None:
        return None
    item = consolidation_due(
        budget,
        Spent(
            subjects=spending.subjects,
            attenuations=spending.attenuations,
            age_days=(now - spending.since) / timedelta(days=1),
            utility_loss=spending.utility_loss,
        ),
    )
    return None if item is None else ConsolidationReason(item)
