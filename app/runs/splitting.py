"""Splitting: requests leave a run so that the others can go on. They return to the queue, or need a person.

Splitting has no transaction of its own: the caller decides in the same transaction about the remaining requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from app.audit.events import ForgetLeftOut, ForgetNeedsAttention, ForgetRetried, ForgetSplitOut
from app.audit.transaction import Transaction
from app.codes import DetailCode
from app.db.models import ForgetRequest, RequestScope, Run, RunKind
from app.forget_requests.moves import move_on
from app.forget_requests.states import RequestEvent
from app.runs.service import ensure_queued_run
from app.runs.states import RUN_OF

LADDER_EXHAUSTED = DetailCode.LADDER_EXHAUSTED


@dataclass(frozen=True)
class SplitOut:
    """The requests that leave a run, by id.

    `returned` maps requests that wait for another run to the rung at which it starts. `exhausted` have failed the last
    rung and need a person.
    """

    returned: Mapping[str, int] = field(default_factory=dict)
    exhausted: tuple[str, ...] = ()


NOBODY = SplitOut()


def queue_again(
    transaction: Transaction,
    requests: Sequence[ForgetRequest],
    why: type[ForgetRetried | ForgetLeftOut],
    *,
    actor: str,
    now: datetime,
) -> None:
    """Queue requests that need a person again, from the first rung on. Their deadlines do not move."""
    for request in requests:
        move_on(transaction, request, RequestEvent.QUEUED_AGAIN)
        request.detail_code, request.run_id, request.first_step = None, None, 0
        transaction.record(why(request=request.id), actor=actor)
    if requests:
        transaction.session.flush()
    for scope in {RequestScope(request.scope) for request in requests}:
        ensure_queued_run(transaction.session, now, RUN_OF[scope])


def split_out(transaction: Transaction, run: Run, split: SplitOut, *, now: datetime) -> None:
    """Take these requests out of the run, which the caller owns. Their deadlines do not move (invariant I11)."""
    session = transaction.session
    leaving = session.scalars(
        select(ForgetRequest).where(
            ForgetRequest.run_id == run.id, ForgetRequest.id.in_([*split.returned, *split.exhausted])
        )
    ).all()
    for request in leaving:
        request.run_id = None
        if request.id in split.returned:
            move_on(transaction, request, RequestEvent.RETURNED)
            request.first_step = split.returned[request.id]
        else:
            move_on(transaction, request, RequestEvent.EXHAUSTED)
            request.detail_code = LADDER_EXHAUSTED
    session.flush()
    if split.returned:
        ensure_queued_run(session, now, RunKind(run.kind))
    for step in sorted(set(split.returned.values())):
        requests = [request for request, first_step in split.returned.items() if first_step == step]
        transaction.record(ForgetSplitOut(run=run.id, requests=requests, step=step))
    if split.exhausted:
        transaction.record(
            ForgetNeedsAttention(run=run.id, requests=list(split.exhausted), code=LADDER_EXHAUSTED)
        )
