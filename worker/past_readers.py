"""Remembering whom a version had read, before it goes and nothing shows it any more."""

from __future__ import annotations

from sqlalchemy import select

from app.db.models import ForgetRequest, RequestStatus
from app.db.session import Database
from app.interactions import queries as interactions
from app.readers import service as readers
from worker.readership import Readership

_PEOPLE_PER_TRANSACTION = 1000


def note_past_readers(database: Database, old: Readership | None, new: Readership | None) -> None:
    """Record whom the old version has read and the new one has not. True whatever becomes of the new one.

    In slices: whoever asks to be forgotten meanwhile must not wait for all of them.

    Args:
        old: None where it has no record, and may have read anybody: then everybody the database knows of counts.
        new: None where nothing takes its place.
    """
    gone = sorted(set(_everybody(database) if old is None else old) - set(() if new is None else new))
    for start in range(0, len(gone), _PEOPLE_PER_TRANSACTION):
        with database.unit_of_work() as session:
            readers.add_past_readers(session, gone[start : start + _PEOPLE_PER_TRANSACTION])


def _everybody(database: Database) -> set[str]:
    with database.read() as session:
        asking = select(ForgetRequest.subject_hmac).where(ForgetRequest.status != RequestStatus.COMPLETED)
        return {*interactions.subjects(session), *session.scalars(asking)}
