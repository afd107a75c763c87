"""Issues receipts: at the first request for one, from what is on record then. It is stored, and later readers get it.

So two readers have the same bytes, although the log has grown in between and the key may have been replaced.
"""

from __future__ import annotations

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.log import AuditLog
from app.db.clock import database_now
from app.db.models import AuditEntry, ForgetRequest, Receipt, RequestStatus
from app.receipts import claims, record
from app.receipts.claims import TYPE, Kind
from app.signing.keys import SignatureInvalid, Signer

log = structlog.get_logger()


class NotCompleted(Exception):
    """The request is not completed, so there is no completion receipt."""


class Receipts:
    """Issues receipts within one transaction.

    Args:
        size: of the Merkle tree, which must hold every entry about the request.
    """

    def __init__(self, session: Session, audit: AuditLog, signer: Signer, size: int) -> None:
        self._session = session
        self._audit = audit
        self._signer = signer
        self._size = size

    def acceptance(self, request: ForgetRequest) -> str:
        """The acceptance receipt.

        Raises:
            LogContradicted: the log does not hold the acceptance as it was recorded.
        """
        entry = record.accepted_entry(self._session, request.id, self._size)
        issued = self._issued(request, Kind.ACCEPTANCE, entry)
        if issued is not None:
            return issued
        content = claims.acceptance(
            record.asked(request),
            entry.data,
            record.evidence(self._session, self._audit, self._signer, [entry], self._size),
        )
        return self._issue(request, Kind.ACCEPTANCE, entry, content)

    def completion(self, request: ForgetRequest) -> str:
        """The completion receipt. It issues the acceptance receipt too, which it names.

        Raises:
            NotCompleted: there is none yet.
            LogContradicted: the log does not hold what was done as it was recorded.
        """
        if request.status != RequestStatus.COMPLETED:
            raise NotCompleted
        entry = record.completed_entry(self._session, request.id, self._size)
        issued = self._issued(request, Kind.COMPLETION, entry)
        if issued is not None:
            return issued
        attempts, told = record.attempts_of(self._session, request)
        entries = record.supporting(self._session, attempts, entry)
        evidence = record.evidence(self._session, self._audit, self._signer, entries, self._size)
        content = claims.completion(
            request.id,
            record.accepted_entry(self._session, request.id, self._size).data,
            self.acceptance(request),
            told,
            record.skipped_for(self._session, request),
            next(each for each in evidence.entries if each.sequence == entry.sequence),
            evidence,
        )
        return self._issue(request, Kind.COMPLETION, entry, content)

    def _issued(self, request: ForgetRequest, kind: Kind, entry: AuditEntry) -> str | None:
        """The receipt that is stored. None if there is none, or if nobody could verify it with the published keys."""
        stored = self._stored(request, kind, entry)
        if stored is None:
            return None
        try:
            self._signer.published.verified_token(stored.token, type_=TYPE)
        except SignatureInvalid as error:
            log.warning("receipt.unverifiable", request=request.id, kind=kind, reason=str(error))
            return None
        return stored.token

    def _issue(
        self, request: ForgetRequest, kind: Kind, entry: AuditEntry, content: dict[str, object]
    ) -> str:
        now = database_now(self._session)
        token = self._signer.token(
            {
                "iss": self._signer.issuer,
                "iat": int(now.timestamp()),
                "jti": f"{request.id}.{kind}.{entry.sequence}",
                **content,
            },
            type_=TYPE,
        )
        stored = self._stored(request, kind, entry)
        if stored is None:
            stored = Receipt(request_id=request.id, kind=kind, sequence=entry.sequence)
            self._session.add(stored)
        stored.issued_at, stored.token = now, token
        return token

    def _stored(self, request: ForgetRequest, kind: Kind, entry: AuditEntry) -> Receipt | None:
        return self._session.scalar(
            select(Receipt).where(
                Receipt.request_id == request.id, Receipt.kind == kind, Receipt.sequence == entry.sequence
            )
        )
