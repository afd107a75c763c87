"""Accepting a batch in slices, so that no other transaction waits for all of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import select

from app.audit.transaction import Transaction
from app.db.models import ForgetBatch, ForgetBatchItem, RequestScope
from app.forget_requests import service as forget_requests
from app.forget_requests.policy import WITHOUT_STEPS, RequestPolicy
from app.forget_requests.service import NOTHING_ELSE, Acceptance, Asked
from app.selections.criteria import Criteria

# One transaction each. It keeps the ledger for less than a tenth of a second, also on a busy machine.
SLICE = 25


@dataclass(frozen=True)
class Wanted:
    """One item of a batch, at its position. ``subject_hmac`` is None for an invalid one, which has errors."""

    position: int
    subject_hmac: str | None
    asked: Asked = NOTHING_ELSE
    # `until` is set when the item is accepted.
    criteria: Criteria | None = None
    errors: Sequence[dict[str, str]] = ()


def open_batch(
    transaction: Transaction,
    *,
    key_mac: str,
    fingerprint: str,
    requested_by: str,
    size: int,
    now: datetime,
    key_kept_for: timedelta,
) -> ForgetBatch:
    """The batch of this key. It is stored if there is none, or if the key was last used too long ago to count."""
    session = transaction.session
    known = session.scalars(select(ForgetBatch).where(ForgetBatch.key_mac == key_mac)).first()
    if known is not None and known.received_at > now - key_kept_for:
        return known
    if known is not None:
        known.key_mac = None
        session.flush()
    batch = ForgetBatch(
        id=f"fb_{uuid.uuid4().hex}",
        key_mac=key_mac,
        fingerprint=fingerprint,
        requested_by=requested_by,
        received_at=now,
        size=size,
    )
    session.add(batch)
    session.flush()
    return batch


def accept_slice(
    transaction: Transaction,
    batch: ForgetBatch,
    wanted: Sequence[Wanted],
    *,
    now: datetime,
    policy: RequestPolicy = WITHOUT_STEPS,
) -> list[Acceptance]:
    """Accept these items, except those that were accepted before. Returns the new requests."""
    session = transaction.session
    stored = set(
        session.scalars(
            select(ForgetBatchItem.position).where(
                ForgetBatchItem.batch_id == batch.id,
                ForgetBatchItem.position.in_([item.position for item in wanted]),
            )
        )
    )
    created: list[Acceptance] = []
    requests: dict[str, str] = {}
    # Written together at the end, which takes a third of the statements. So nothing below finds a request of this slice
    # by a query; `requests` has them.
    with session.no_autoflush:
        rows = [
            _accepted(transaction, batch, item, now, policy, requests, created)
            for item in wanted
            if item.position not in stored
        ]
    # The requests first: the rows refer to them.
    session.flush()
    session.add_all(rows)
    session.flush()
    return created


def _accepted(
    transaction: Transaction,
    batch: ForgetBatch,
    item: Wanted,
    now: datetime,
    policy: RequestPolicy,
    requests: dict[str, str],
    created: list[Acceptance],
) -> ForgetBatchItem:
    row = ForgetBatchItem(batch_id=batch.id, position=item.position, result="invalid")
    if item.subject_hmac is None:
        row.errors = list(item.errors)
        return row
    row.result, row.request_id = "existing", requests.get(item.subject_hmac)
    if item.criteria is not None:
        # The query for an open request with the same selection must find those of this slice.
        transaction.session.flush()
        row.request_id = None
    if row.request_id is None:
        accept = (
            forget_requests.accept
            if item.criteria is None
            else partial(
                forget_requests.accept_selection, criteria=replace(item.criteria, until=int(now.timestamp()))
            )
        )
        accepted = accept(
            transaction,
            subject_hmac=item.subject_hmac,
            requested_by=batch.requested_by,
            now=now,
            policy=policy,
            asked=item.asked,
        )
        row.request_id = accepted.request.id
        if accepted.request.scope == RequestScope.USER:
            requests[item.subject_hmac] = accepted.request.id
        if accepted.created:
            row.result = "accepted"
            created.append(accepted)
    return row
