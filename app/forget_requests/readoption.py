"""Accepting requests again that a restored database has lost."""

from __future__ import annotations

from datetime import datetime

from app.audit.transaction import Transaction
from app.db.models import ForgetRequest
from app.forget_requests.policy import RequestPolicy
from app.forget_requests.service import Asked, create, put_in_force, renumbered
from app.forget_requests.states import REQUESTS, RequestEvent
from app.readers.service import add_past_readers
from app.selections.criteria import Criteria
from app.suppressions.queries import suppressed_among


def readopt(
    transaction: Transaction,
    subject_hmac: str,
    accepted_at: datetime,
    request_id: str | None,
    policy: RequestPolicy,
    criteria: Criteria | None = None,
) -> bool:
    """Accept a request again that a restored database has lost. Returns True if this database did not have it.

    A database restored from an old backup has lost requests that were accepted, and perhaps completed. They are
    accepted again with their old id and deadline, so that the restored data are erased again. An approval is lost with
    them and must be given again. Their cancel window is not opened again.

    Args:
        criteria: what the request selects; None if it is about the whole person.
    """
    session = transaction.session
    if criteria is None and suppressed_among(session, [subject_hmac]):
        return False
    at_once = policy.model_copy(update={"cancel_window_hours": 0})
    held = None if request_id is None else session.get(ForgetRequest, request_id)
    if held is not None and held.status in REQUESTS.before(RequestEvent.VERIFIED):
        # The backup is older than the verification.
        put_in_force(transaction, renumbered(transaction, held), at_once, accepted_at, criteria)
    else:
        create(
            transaction,
            subject_hmac,
            "erasure-journal",
            accepted_at,
            at_once,
            Asked(reason="restored"),
            request_id=request_id if held is None else None,
            criteria=criteria,
        )
    # A version that had read the subject may be destroyed by now. That must not make their outcome `no_data`.
    add_past_readers(session, [subject_hmac])
    return True
