"""How long the worklist, a claim and a sweep take with many open requests: `lethe bench worklist`.

The requests are written as rows, because accepting ten thousand takes longer than measuring them. Each thing is done
once unmeasured, and then as often as it is asked for. Seconds count from the first statement to the end of the
transaction. A claim is rolled back, so that the next one finds the same queue. As in a gateway and in a worker, what
the process has loaded is no longer searched for garbage (`app.loading`).
"""

from __future__ import annotations

import math
import random
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.clock import database_now
from app.db.models import ForgetRequest, Ledger, RequestStatus, Suppression
from app.db.schema import migrate
from app.db.session import Database, open_database
from app.forget_requests import dwelling, listing, worklist
from app.forget_requests.policy import WITHOUT_STEPS
from app.forget_requests.states import REQUESTS, RequestEvent
from app.loading import loading
from app.runs import service as runs
from app.settings import Settings
from benchmarks.environment import environment
from benchmarks.service.own_database import LOCAL_SERVER, own_database
from worker.sweeper import end_windows, expire_unverified, sweep, tell_stalled, warn_of_deadlines

OPEN_REQUESTS, TIMES = 10_000, 50
PAGE = 50
# What has happened last to how many of a hundred open requests, and in which state. Most wait for a run.
SHARES = {
    (RequestStatus.SCHEDULED, RequestEvent.WINDOW_ENDED): 85,
    (RequestStatus.PENDING_VERIFICATION, RequestEvent.VERIFIED): 5,
    (RequestStatus.PENDING_APPROVAL, RequestEvent.APPROVED): 5,
    (RequestStatus.QUEUED, RequestEvent.HELD): 3,
    (RequestStatus.UNLEARNING, RequestEvent.EXHAUSTED): 2,
}
_MONTH = timedelta(days=31)


def run(
    server: str = "postgresql", *, requests: int = OPEN_REQUESTS, times: int = TIMES, seed: int = 0
) -> dict[str, Any]:
    """Fill a database of its own and measure; returns JSON values.

    Args:
        server: ``postgresql`` (the server on this machine), or the URL of a PostgreSQL server.
        requests: open requests.
        times: how often each thing is measured.
        seed: draws states and deadlines.

    Raises:
        ServiceUnmeasurable: no database can be created.
    """
    header = environment(("app", "benchmarks", "worker"))
    with own_database(LOCAL_SERVER if server == "postgresql" else server) as url:
        settings = Settings(environment="development", database_url=url)
        engine = open_database(url)
        try:
            migrate(engine)
            database, audit = Database(engine), AuditLog.of(settings)
            with loading():
                fill(database, requests, seed)
            # PostgreSQL cleans up by itself a minute after so many rows are written, in the middle of what is measured.
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM"))
            measured = {
                name: _spread(_timed(work, times))
                for name, work in works(database, audit, settings, requests).items()
            }
        finally:
            engine.dispose()
    return {
        "benchmark": "worklist",
        "environment": header,
        "requests": requests,
        "seed": seed,
        "times": times,
        "seconds": measured,
    }


def fill(database: Database, requests: int, seed: int) -> None:
    """Write open requests with their suppressions, and have the rows counted, as PostgreSQL does by itself."""
    drawn = random.Random(seed)
    with database.unit_of_work() as session:
        now = database_now(session)
        lasts = drawn.choices([*SHARES], [*SHARES.values()], k=requests)
        session.execute(
            insert(ForgetRequest), [_row(drawn, number, *last, now) for number, last in enumerate(lasts, 1)]
        )
        session.execute(
            insert(Suppression),
            [
                {"epoch": number, "subject_hmac": f"{number:064x}", "suppressed_at": now}
                for number in range(1, requests + 1)
            ],
        )
        session.get_one(Ledger, 1).epoch = requests
        session.flush()
        runs.ensure_queued_run(session, now)
    with database.unit_of_work() as session:
        session.execute(text("ANALYZE"))


def works(
    database: Database, audit: AuditLog, settings: Settings, requests: int
) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    longest = WITHOUT_STEPS.longest_hours

    def first_page() -> object:
        return _page(database, None)

    with database.read() as session:
        ahead = listing.page(
            session,
            listing.Wanted(),
            after=None,
            limit=max(1, min(500, requests // 2)),
            now=database_now(session),
        )

    def later_page() -> object:
        return _page(database, ahead.next)

    def dashboard() -> object:
        with database.read() as session:
            now = database_now(session)
            nothing = worklist.Filter()
            return (
                worklist.counts(session, now),
                dwelling.counts(session, longest, now),
                worklist.reasons(session),
                worklist.matching(session, nothing, now),
                worklist.page(session, nothing, now, limit=PAGE),
            )

    def claim() -> None:
        with database.unit_of_work() as session:
            transaction = Transaction(session, audit)
            claimed = _claim(transaction, settings)
            assert claimed == min(settings.max_subjects_per_run, requests), "the claim takes a whole run"
            session.rollback()

    def sweep_once() -> None:
        end_windows(database, audit)
        expire_unverified(database, audit)
        warn_of_deadlines(database, audit)
        tell_stalled(database, audit, longest)
        sweep(database, settings)

    return {
        "worklist, first page": first_page,
        "worklist, a later page": later_page,
        "worklist of the dashboard": dashboard,
        "claim": claim,
        "sweep": sweep_once,
    }


def _page(database: Database, after: listing.Cursor | None) -> object:
    with database.read() as session:
        return listing.page(session, listing.Wanted(), after=after, limit=PAGE, now=database_now(session))


def _claim(transaction: Transaction, settings: Settings) -> int:
    session: Session = transaction.session
    now = transaction.now()
    taken = runs.claim(
        transaction,
        runs.ensure_queued_run(session, now),
        now=now,
        lease=timedelta(seconds=60),
        max_claims=3,
        max_subjects=settings.max_subjects_per_run,
        policy={"name": "bench"},
        policy_hash="0" * 64,
    )
    return 0 if taken is None else len(taken.requests)


def _row(
    drawn: random.Random, number: int, before: RequestStatus, event: RequestEvent, now: datetime
) -> dict[str, Any]:
    received = now - drawn.random() * _MONTH / 2
    due_at = received + _MONTH
    return {
        "id": f"fr_{uuid.UUID(int=drawn.getrandbits(128)).hex}",
        "subject_hmac": f"{number:064x}",
        "epoch": number,
        "status": REQUESTS.after(before, event),
        # None has waited for too long: that would be told once, and the sweep be idle afterwards.
        "status_since": now,
        "requested_by": "bench",
        "received_at": received,
        "due_at": due_at,
        "next_warning_at": due_at,
        "cancel_until": now + timedelta(days=1) if event is RequestEvent.APPROVED else None,
    }


def _timed(work: Callable[[], object], times: int) -> list[float]:
    work()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return seconds


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    shares = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    found = {name: ordered[math.ceil(share * len(ordered)) - 1] for name, share in shares.items()}
    # No more digits than a file keeps: the table printed now and the one printed from the file are the same.
    return {name: float(f"{value:.4g}") for name, value in found.items()}
