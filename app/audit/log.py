"""The audit log: append-only, each entry sealed by a MAC over itself and the entry before it (invariant I12)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.audit.events import Event
from app.db.models import AuditEntry, Ledger
from app.settings import Settings
from inputs import canonical_json
from model_store import Checkpoint

GENESIS = "0" * 64
_ROWS_AT_A_TIME = 1000
# How SQLite's driver words it.
_NO_TEXT = "Could not decode"


class LogUnreadable(Exception):
    """A row of the log holds bytes that are no text, no JSON or no time. Somebody has changed it."""


def entries(session: Session, *, at_a_time: int = _ROWS_AT_A_TIME) -> Iterator[AuditEntry]:
    """The whole log in order, read in blocks: the log may not fit into memory.

    Raises:
        LogUnreadable: one of the next `at_a_time` rows cannot be read.
    """
    query = select(AuditEntry).order_by(AuditEntry.sequence).limit(at_a_time)
    some = _read(session, query)
    while some:
        last = some[-1].sequence
        for entry in some:
            session.expunge(entry)
            yield entry
        some = _read(session, query.where(AuditEntry.sequence > last))


def _read(session: Session, query: Select[AuditEntry]) -> Sequence[AuditEntry]:
    try:
        return session.scalars(query).all()
    except ValueError as error:
        raise LogUnreadable("a row of the log cannot be read") from error
    except OperationalError as error:
        if str(error.orig).startswith(_NO_TEXT):
            raise LogUnreadable("a row of the log cannot be read") from error
        raise


class AuditLog:
    """Appends to and verifies the chain.

    The MAC is keyed. Without the key, somebody with write access to the database can neither change an entry, nor
    remove one from the middle, nor append one. The checkpoints in the store (`app.audit.checkpoints`) show it if the
    tail or the whole log was deleted.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, settings: Settings) -> AuditLog:
        """The log under the service's key."""
        return cls(settings.audit_key.get_secret_value().encode())

    def append(
        self, session: Session, ledger: Ledger, *, actor: str, event: Event, recorded_at: datetime
    ) -> None:
        """Add one entry inside the caller's transaction, under the ledger's lock."""
        action, data = event.action, event.data()
        sequence = ledger.audit_sequence + 1
        mac = self._mac(sequence, recorded_at, actor, action, data, ledger.audit_head)
        session.add(
            AuditEntry(
                sequence=sequence,
                recorded_at=recorded_at,
                actor=actor,
                action=action,
                data=data,
                previous_mac=ledger.audit_head,
                mac=mac,
            )
        )
        ledger.audit_sequence = sequence
        ledger.audit_head = mac
        ledger.audit_seal = self._seal(sequence, mac)

    def has_written(self, entry: AuditEntry) -> bool:
        """Whether the entry is as it was appended under this key. Its place in the chain is not checked."""
        try:
            mac = self._mac(
                entry.sequence, entry.recorded_at, entry.actor, entry.action, entry.data, entry.previous_mac
            )
        except ValueError:
            # A number that JSON does not have.
            return False
        # As bytes: a changed MAC may hold any character.
        return hmac.compare_digest(mac.encode(), entry.mac.encode())

    def first_broken(self, session: Session) -> int | None:
        """The sequence number of the first entry that does not verify; None if the whole chain holds."""
        try:
            return self._first_broken(session, _ROWS_AT_A_TIME)
        except LogUnreadable:
            # Row by row, to find out which one it is.
            return self._first_broken(session, 1)

    def _first_broken(self, session: Session, at_a_time: int) -> int | None:
        expected_sequence, head = 1, GENESIS
        try:
            for entry in entries(session, at_a_time=at_a_time):
                if not (
                    entry.sequence == expected_sequence
                    and entry.previous_mac == head
                    and self.has_written(entry)
                ):
                    return expected_sequence
                expected_sequence, head = expected_sequence + 1, entry.mac
        except LogUnreadable:
            if at_a_time > 1:
                raise
            return expected_sequence
        ledger = session.execute(select(Ledger)).scalar_one()
        last = expected_sequence - 1
        if last == ledger.audit_sequence == 0:
            return None
        sealed = hmac.compare_digest(ledger.audit_seal, self._seal(last, head))
        return None if ledger.audit_sequence == last and sealed else expected_sequence

    def checkpoint(self, timeline: int, sequence: int, head: str) -> Checkpoint:
        """A checkpoint for the store: entry ``sequence`` of this timeline has the MAC ``head``."""
        return Checkpoint(timeline, sequence, head, self._keyed(f"checkpoint {timeline} {sequence} {head}"))

    def has_made(self, checkpoint: Checkpoint) -> bool:
        """Whether the checkpoint was made under this key."""
        made = self.checkpoint(checkpoint.timeline, checkpoint.sequence, checkpoint.head)
        return hmac.compare_digest(made.seal, checkpoint.seal)

    def subject_digest(self, subject_hmac: str) -> str:
        """The name of a subject in entries. Only somebody with the key can match it to rows."""
        return self._keyed(f"subject {subject_hmac}")

    def _seal(self, sequence: int, head: str) -> str:
        """A keyed seal of the last entry's number. Without it, the head could be set back to an earlier entry's MAC."""
        return self._keyed(f"head {sequence} {head}")

    def _mac(
        self,
        sequence: int,
        recorded_at: datetime,
        actor: str,
        action: str,
        data: Mapping[str, Any],
        previous: str,
    ) -> str:
        content = [sequence, recorded_at.isoformat(), actor, action, data, previous]
        return self._keyed(canonical_json(content, ascii_only=True).decode())

    def _keyed(self, content: str) -> str:
        return hmac.new(self._key, content.encode(), hashlib.sha256).hexdigest()
