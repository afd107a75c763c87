"""Records whom a version had read before the version, and with it its readership, is gone."""

from __future__ import annotations

from sqlalchemy import select

from app.db.models import ForgetRequest
from app.db.models.statuses import SETTLED
from app.db.session import Database
from app.interactions import queries as interactions
from app.readers import service as readers
from app.readers.readership import Readership

_PEOPLE_PER_TRANSACTION = 1000


def note_past_readers(database: Database, old: Readership | None, new: Readership | None) -> None:
    """Record everybody whom the old version has read and the new one has not. This stays true if the new one fails.

    Writes in slices, so that no forget request has to wait for the whole write.

    Args:
        old: None if the old version has no record and may have read anybody; then everybody in the database counts.
        new: None if nothing replaces the old version.
    """
    gone = sorted(set(_everybody(database) if old is None else old) - set(() if new is None else new))
    for start in range(0, len(gone), _PEOPLE_PER_TRANSACTION):
        with database.unit_of_work() as session:
            readers.add_past_readers(session, gone[start : start + _PEOPLE_PER_TRANSACTION])


def _everybody(database: Database) -> set[str]:
    with database.read() as session:
        asking = select(ForgetRequest.subject_hmac).where(ForgetRequest.status.not_in(SETTLED))
        return {*interactions.subjects(session), *session.scalars(asking)}
