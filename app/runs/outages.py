"""Runs that their surroundings hold up: that costs no claim and nobody's attention, and ends by itself (I14).

The pause is the run's lease: any worker sees it, and the sweeper dispatches it once it is over. Due dates stay (I11).
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
    """How long to wait before another try: twice as long each time, up to a limit."""

    first: timedelta
    longest: timedelta

    def after(self, outages: int) -> timedelta:
        # Beyond any limit long before the numbers overflow.
        return min(self.longest, self.first * 2 ** min(outages, 24))


def wait_out(
    transaction: Transaction, claim: Claim, *, code: str, detail: str, pauses: Pauses, now: datetime
) -> None:
    """The claim is over and does not count; the run may be claimed again after a pause.

    Raises:
        FenceLost: another worker holds the run, or it is over.
    """
    session = transaction.session
    run = owned(session, claim.run_id, claim.fence)
    run.claims -= 1
    run.lease_until, run.dispatched_at = now + pauses.after(run.outages), None
    run.outages += 1
    _say(session, run, code, detail)
    transaction.record(RunHeldUp(run=run.id, fence=claim.fence, code=code))


def say_unclaimed(session: Session, run_id: str, *, code: str, detail: str, now: datetime) -> None:
    """What keeps everybody from claiming a run, said where it is looked for; the run itself is left as it is."""
    lock_ledger(session)
    run = session.get(Run, run_id, with_for_update=True)
    if run is None or run.status not in (RunStatus.QUEUED, RunStatus.RUNNING):
        return
    if run.lease_until is None or run.lease_until < now:
        _say(session, run, code, detail)


def uncount(session: Session, claim: Claim) -> None:
    """A claim that the surroundings ended does not count, although others have taken the run over since."""
    lock_ledger(session)
    run = session.get(Run, claim.run_id, with_for_update=True)
    if run is not None and run.status == RunStatus.RUNNING and run.claims > 1:
        run.claims -= 1


def _say(session: Session, run: Run, code: str, detail: str) -> None:
    before = run.detail_code
    run.detail_code, run.detail = code, detail[:500]
    waiting = ForgetRequest.run_id == run.id
    if run.status == RunStatus.QUEUED:
        # It would take these.
        waiting |= ForgetRequest.status == RequestStatus.QUEUED
    # What was found out about a request stays.
    free = or_(ForgetRequest.detail_code.is_(None), ForgetRequest.detail_code == before)
    session.execute(update(ForgetRequest).where(waiting, free).values(detail_code=code))
