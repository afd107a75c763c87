"""An acknowledgement, and the end of the request that has waited for it."""

from __future__ import annotations

from app.audit.transaction import Transaction
from app.db.models import ForgetTarget
from app.runs.completion import complete_acknowledged
from app.targets import service as targets
from app.versions.parts import Surroundings


def take(
    transaction: Transaction, request_id: str, name: str, *, by: str, around: Surroundings
) -> ForgetTarget | None:
    """Take a recipient's acknowledgement, and complete its request if it has waited for nothing else.

    Returns:
        The target; None if the request was not told to such a recipient.
    """
    target = targets.find(transaction.session, request_id, name)
    if target is None:
        return None
    now = transaction.now()
    targets.acknowledge(transaction, target, by=by, now=now)
    complete_acknowledged(transaction, request_id, around, now=now)
    return target
