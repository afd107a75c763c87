"""A worker whose run was taken over changes nothing by any of its writes, each tried by itself (I5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound

from app.attempts import service as attempt_records
from app.audit.transaction import Transaction
from app.db.errors import FenceLost
from app.db.models import AuditEntry, SkippedRung, Version
from app.db.reclaiming import Reclaimed
from app.runs import completion, outages
from app.runs import service as runs
from app.runs.outages import Pauses
from app.runs.service import Claim
from app.versions import service as pointer
from tests.integration.db.conftest import LEASE, NOON, Service, attempt

Write = Callable[[Transaction, Claim], Any]
BASE = "b" * 64
PAUSES = Pauses(LEASE, LEASE)


def _version(claim: Claim) -> Version:
    return Version(
        digest="9" * 64,
        forget_epoch=claim.covers_epoch,
        method="refit",
        run_id=claim.run_id,
        published_at=NOON,
    )


WRITES: dict[str, Write] = {
    "record_attempt": lambda transaction, claim: attempt_records.record(
        transaction, claim, attempt(claim.run_id, claim.fence)
    ),
    "skipped.record": lambda transaction, claim: attempt_records.record_skipped(
        transaction, claim, [_skipped(claim)], up_to=1
    ),
    "announce_candidate": lambda transaction, claim: pointer.announce_candidate(
        transaction.session, claim, "9" * 64
    ),
    "publish": lambda transaction, claim: pointer.publish(
        transaction, claim, _version(claim), watermark=0, base_digest=BASE, now=NOON
    ),
    "withdraw": lambda transaction, claim: pointer.withdraw(transaction, claim, base_digest=BASE, now=NOON),
    "rebase": lambda transaction, claim: pointer.rebase(transaction.session, claim),
    "erase_subjects": lambda transaction, claim: completion.erase_subjects(
        transaction, claim, unread=frozenset(), base_digest=BASE
    ),
    "record_acknowledged": lambda transaction, claim: completion.record_acknowledged(
        transaction, claim, generation=1, replicas=1
    ),
    "record_reclaimed": lambda transaction, claim: completion.record_reclaimed(
        transaction, claim, Reclaimed.REWRITTEN
    ),
    "mark_destroyed": lambda transaction, claim: pointer.mark_destroyed(
        transaction, claim, "9" * 64, now=NOON
    ),
    "complete": lambda transaction, claim: completion.complete(transaction, claim, (), now=NOON),
    "wait_out": lambda transaction, claim: outages.wait_out(
        transaction, claim, code="tests", detail="tests", pauses=PAUSES, now=NOON
    ),
    "hand_back": lambda transaction, claim: runs.hand_back(transaction, claim, NOON),
}


def _skipped(claim: Claim) -> SkippedRung:
    return SkippedRung(
        run_id=claim.run_id,
        fence=claim.fence,
        step=0,
        requests=[],
        method="ucan",
        config={},
        rung_digest="e" * 64,
        code="no_time",
        detail="tests",
        skipped_at=NOON,
    )


def entries(service: Service) -> list[str]:
    with service.database.read() as session:
        return list(session.scalars(select(AuditEntry.action)))


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_zombie_writes_nothing(service: Service, write: Write) -> None:
    run_id = service.accept("a").run_id
    assert run_id is not None
    zombie = service.claim(run_id)
    owner = service.claim(run_id, NOON + LEASE + timedelta(seconds=1))
    assert zombie is not None
    assert owner is not None
    before = entries(service)
    with pytest.raises(FenceLost), service.database.unit_of_work() as session:
        write(Transaction(session, service.audit), zombie)
    assert entries(service) == before
    # Whoever holds the run may: it is the fence that is refused, and not the state of the run.
    with service.database.unit_of_work() as session:
        write(Transaction(session, service.audit), owner)


def test_the_claim_itself_takes_nothing_from_a_worker_whose_lease_runs(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was found when the run was looked at before."""
    run_id = service.accept("a").run_id
    assert run_id is not None
    owner = service.claimed(run_id)
    monkeypatch.setattr(runs, "_claimable", lambda *_: True)
    with pytest.raises(NoResultFound):
        service.claim(run_id, NOON + LEASE / 2)
    with service.database.unit_of_work() as session:
        assert runs.owned(session, run_id, owner.fence)
