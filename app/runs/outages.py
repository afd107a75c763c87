"""Outages of a run: they cost no claim, need no person, and end by themselves (I14).

The run's lease serves as the pause. Every worker sees it, and the sweeper dispatches the run when it is over. Deadlines
do not move (I11).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from app.audit.events import RunHeldUp
from app.audit.transaction import Transaction
from app.db.ledger import lock_ledger
from app.db.models import ForgetRequest, RequestStatus, Run, RunStatus
from app.runs.service import Claim, owned


@dataclass(frozen=True)
class Pauses:
    """How long to wait before the next try: the pause doubles each time, up to a limit."""

    first: timedelta
    longest: timedelta

    def after(self, outages: int) -> timedelta:
        # Bounded, so that the power cannot overflow. It exceeds any limit long before.
        return min(self.longest, self.first * 2 ** min(outages, 24))


def wait_out(
    transaction: Transaction, claim: Claim, *, code: str, detail: str, pauses: Pauses, now: datetime
) -> None:
    """End the claim without counting it. The run may be claimed again after a pause.

    Raises:
        FenceLost: another worker holds the run, or the run is over.
    """
    session = transaction.session
    run = owned(session, claim.run_id, claim.fence)
    run.claims -= 1
    run.lease_until, run.dispatched_at = now + pauses.after(run.outages), None
    run.outages += 1
    _say(session, run, code, detail)
    transaction.record(RunHeldUp(run=run.id, fence=claim.fence, code=code))


def say_unclaimed(session: Session, run_id: str, *, code: str, detail: str, now: datetime) -> None:
    """Record on a run why no worker can claim it. Its state is not changed."""
    lock_ledger(session)
    run = session.get(Run, run_id, with_for_update=True)
    if run is None or run.status not in (RunStatus.QUEUED, RunStatus.RUNNING):
        return
    if run.lease_until is None or run.lease_until < now:
        _say(session, run, code, detail)


def uncount(session: Session, claim: Claim) -> None:
    """Do not count a claim that an outage ended, although another worker has taken the run over since."""
    lock_ledger(session)
    run = session.get(Run, claim.run_id, with_for_update=True)
    if run is not None and run.status == RunStatus.RUNNING and run.claims > 1:
        run.claims -= 1


def _say(session: Session, run: Run, code: str, detail: str) -> None:
    before = run.detail_code
    run.detail_code, run.detail = code, detail[:500]
    waiting = ForgetRequest.run_id == run.id
    if run.status == RunStatus.QUEUED:
        # A queued run would take the queued requests.
        waiting |= ForgetRequest.status == RequestStatus.QUEUED
    # Keep a code that says something about the request itself.
    free = or_(ForgetRequest.detail_code.is_(None), ForgetRequest.detail_code == before)
    session.execute(update(ForgetRequest).where(waiting, free).values(detail_code=code))
