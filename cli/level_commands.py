"""Makes the levels of the live version's users from the command line."""

from __future__ import annotations

import transformers

from app.audit.log import AuditLog
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.forget_requests.policy import load_request_policy
from app.restoration.service import join_timeline
from app.settings import get_settings
from app.versions import queries as pointer
from cli.failures import CommandError
from cli.progress import progress_bar
from cli.quiet_log import log_warnings_only
from model_store import open_store
from recommender import RecommenderError, use_processor
from unlearning import UnlearningError
from worker.levels import levels_are_made, make_levels
from worker.live_base import OtherBase
from worker.process import WorkerProcess, load_policy, load_worker_base, require_worker_device
from worker.versions import load_version


def make_missing() -> bool:
    """Make the levels if they are missing. Returns False if that is impossible; forget requests then run without them.

    Raises:
        CommandError, RecommenderError, StoreError, DatabaseError: the message is one line that says what to do.
    """
    settings = get_settings()
    log_warnings_only()
    require_worker_device(settings)
    use_processor(settings.torch_threads)
    transformers.utils.logging.disable_progress_bar()
    database = Database(open_database(settings.database_url, pooled=False))
    require_current_schema(database.engine)
    store = open_store(settings.store_url)
    audit = AuditLog.of(settings)
    join_timeline(database, audit, store, policy=load_request_policy(settings))
    with database.read() as session:
        live = pointer.current(session).digest
    if live is None or store.is_destroyed(live):
        raise CommandError("no version is live; run: lethe init")
    process = WorkerProcess(
        settings, database, store, audit, load_worker_base(settings), load_policy(settings)
    )
    version = load_version(store, live)
    if levels_are_made(process, version):
        print("the users' levels are there already")
        return True
    try:
        with progress_bar("levels") as on_step:
            make_levels(process, version, actor="lethe levels", on_step=on_step)
    except OtherBase as error:
        raise CommandError(f"LETHE_BASE: {error}") from error
    except (UnlearningError, RecommenderError) as error:
        print(f"no levels: {error}")
        return False
    print("the users' levels are made")
    return True
