"""Taking an item down in a test, as a gateway does it."""

from __future__ import annotations

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.base import utc_now
from app.db.models import ItemTakedown
from app.db.session import Database
from app.takedowns import queries, service


def take_down(database: Database, audit: AuditLog, item_id: str) -> ItemTakedown:
    with database.unit_of_work() as session:
        return service.take_down(
            Transaction(session, audit),
            item_id,
            spellings=queries.stored_spellings(session, item_id),
            requested_by="tests",
            now=utc_now(),
        ).takedown


def takedown_of(database: Database, item_id: str) -> ItemTakedown:
    with database.read() as session:
        found = queries.of_item(session, item_id)
    assert found is not None
    return found


def status_of(database: Database, item_id: str) -> str:
    return takedown_of(database, item_id).state
