"""The erasure journal as it would be if the database alone had written it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import ForgetRequest, ItemTakedown
from app.forget_requests import service as forget_requests
from app.selections import queries as selections
from app.suppressions import queries as suppressions
from app.takedowns import service as takedowns
from model_store import JournalEntry


def journal_of(session: Session) -> list[JournalEntry]:
    """The entries of all requests that have begun, of all lifts and of all takedowns.

    A request that nobody has verified has begun nothing, whatever became of it. An entry would suppress its subject.
    """
    begun = session.scalars(select(ForgetRequest).where(ForgetRequest.verify_until.is_(None))).all()
    return [
        *(forget_requests.journal_entry(row, selections.of_request(session, row.id)) for row in begun),
        *suppressions.lifts(session),
        *(takedowns.journal_entry(row) for row in session.scalars(select(ItemTakedown))),
    ]
