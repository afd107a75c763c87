"""Requests a consolidation when the policy's budget for attenuation is spent."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.consolidations import queries as consolidation_queries
from app.consolidations import service as consolidations
from app.consolidations.queries import Spending
from app.db.clock import database_now
from app.db.models import ConsolidationReason
from app.db.session import Database
from app.settings import Settings
from unlearning import ConsolidationBudget, Spent, consolidation_due


def request_if_due(
    database: Database, audit: AuditLog, settings: Settings, budget: ConsolidationBudget
) -> str | None:
    """Request a consolidation if one is due; the id of its run, or None.

    Raises:
        DatabaseUnavailable: nothing was changed; look again later.
    """
    with database.read() as session:
        if _due(consolidation_queries.spending(session), budget, database_now(session)) is None:
            return None
    with Transaction.begin(database, audit) as transaction:
        # Check again under the lock: another worker may have requested one meanwhile.
        now = transaction.now()
        item = _due(consolidation_queries.spending(transaction.session), budget, now)
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
