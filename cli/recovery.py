"""`lethe recover`: after a restore or a fail-over, replays the erasure journal and says what is left to do."""

from __future__ import annotations

from collections.abc import Callable

from app.audit.log import AuditLog
from app.audit.verification import verify
from app.db.clock import database_now
from app.db.models import Ledger, RequestStatus
from app.db.models.statuses import SETTLED
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.forget_requests import queries as request_queries
from app.forget_requests.policy import load_request_policy
from app.restoration.journal import journal_of
from app.restoration.service import confirm_timeline, join_timeline
from app.settings import get_settings
from app.versions import queries as pointer
from cli.failures import CommandError
from cli.progress import watch
from cli.quiet_log import log_warnings_only
from model_store import Store, open_store


def recover(*, store_lost: bool) -> list[str]:
    """Replay the journal entries that the database lacks, and print what was found. Safe to repeat.

    Every process of the service does the same when it meets such a database. This command is for an operator who has
    restored a database and wants to know the result, before the service is started or while it runs.

    Args:
        store_lost: the operator says that the old store is lost. The journal starts anew in the empty store.

    Returns:
        One line for each thing that a person must do; empty if nothing is left to do.

    Raises:
        DatabaseError: the database cannot be used.
        StoreError: the store cannot be read.
        CommandError: the store is not this database's store.
    """
    settings = get_settings()
    log_warnings_only()
    database = Database(open_database(settings.database_url, pooled=False))
    require_current_schema(database.engine)
    store = open_store(settings.store_url)
    before = store.newest_timeline()
    with database.read() as session:
        known = session.get_one(Ledger, 1).timeline
    if before is None and known is not None and not store_lost:
        # An empty store has no journal: it would look as if nobody had asked to be forgotten.
        raise CommandError(
            "LETHE_STORE_URL: this store knows no timeline, and the database had one: it is not the store of this "
            "database, is not mounted, or was emptied. If it is lost for good, say --store-lost, and send all requests "
            "again that the database does not hold"
        )
    audit = AuditLog.of(settings)
    with watch("recovery") as show:
        show("the journal is compared with the database")
        readopted = join_timeline(database, audit, store, restored=True, policy=load_request_policy(settings))
        if store_lost and before is None:
            _write_journal(database, store, show)
    now = store.newest_timeline()
    assert now is not None
    if before is None or now.number != before.number:
        print(f"timeline {now.number} starts here: new epochs come after {now.after_epoch}")
    else:
        print(f"timeline {now.number} stands: the database holds everything that the journal holds")
    if confirm_timeline(database, audit, store):
        print(
            "the audit log has your word that the database was restored: what it lacks no longer counts as wiped"
        )
        with watch("recovery") as show:
            show("the audit log is verified")
            notices = verify(database, audit, store).notices
        for notice in notices:
            print(notice)
    print(f"{readopted} requests were accepted again, under their old deadlines")
    with database.read() as session:
        counts = request_queries.counts(session, database_now(session))
        live = pointer.current(session).digest
    waiting = {status: count for status, count in counts.by_status.items() if status not in SETTLED}
    print(
        "requests that are not completed: "
        + (", ".join(f"{status}: {count}" for status, count in sorted(waiting.items())) or "none")
        + (f"; {counts.overdue} overdue" if counts.overdue else "")
    )
    if live is None:
        print("no version is live: everybody gets the fallback until lethe init has made one")
    needs = []
    if (attention := waiting.get(RequestStatus.NEEDS_ATTENTION, 0)) > 0:
        needs.append(f"{attention} requests need a person: see the dashboard or GET /forget-requests")
    if not (health := store.check()).writable:
        needs.append(f"the store cannot be written: {health.detail}")
    return needs


def _write_journal(database: Database, store: Store, show: Callable[[str], None]) -> None:
    """Write the journal of the lost store again, as far as the database knows it: the next restore will need it."""
    with database.read() as session:
        entries = journal_of(session)
    for done, entry in enumerate(entries):
        show(f"the journal is written anew {done}/{len(entries)}")
        store.append_journal(entry)
