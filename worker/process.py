"""What one worker child holds for its whole life: database, store, and the base model on its device."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from queue import SimpleQueue

import structlog
import transformers

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.consolidations import service as consolidations
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.failures import SettingError, naming
from app.forget_requests.policy import load_request_policy
from app.release import release
from app.restoration.service import join_timeline
from app.runs.service import Claim
from app.settings import Settings, get_settings
from model_store import Store, open_store
from recommender import Base, RecommenderError, load_base, require_device, use_processor
from unlearning import Policy, UnlearningError, default_policy
from worker.anchoring import anchor
from worker.policy_fit import policy_for_style, require_policy_fits_live_version

log = structlog.get_logger()

# Earlier releases trained a base on a tenth of the users and left this file beside it.
_TRAINED_ON_USERS = "panel.json"


@dataclass(frozen=True)
class WorkerProcess:
    """
    Attributes:
        unreturned: claims that ended while the database was away. They are handed back when it answers again.
    """

    settings: Settings
    database: Database
    store: Store
    audit: AuditLog
    base: Base
    policy: Policy
    unreturned: SimpleQueue[Claim] = field(default_factory=SimpleQueue)

    def transaction(self) -> AbstractContextManager[Transaction]:
        """One transaction under the ledger's lock."""
        return Transaction.begin(self.database, self.audit)

    def join_timeline(self) -> None:
        """Replay the journal entries that the database lacks; see `app.restoration.service.join_timeline`."""
        join_timeline(self.database, self.audit, self.store, policy=load_request_policy(self.settings))


def open_process(settings: Settings) -> WorkerProcess:
    """Open everything anew. Call it only in the child, after the fork.

    Raises:
        DatabaseError, StoreError, SettingError, recommender.RecommenderError, unlearning.UnlearningError: something
            cannot be opened.
    """
    use_processor(settings.torch_threads)
    # Read the sources now: this is the code that runs, whatever is installed later.
    release()
    transformers.utils.logging.disable_progress_bar()
    database = Database(open_database(settings.database_url))
    try:
        process = _open_on(database, settings)
    except BaseException:
        database.dispose()
        raise
    log.info("worker.ready", device=settings.worker_device, policy=process.policy.hash)
    return process


def _open_on(database: Database, settings: Settings) -> WorkerProcess:
    require_current_schema(database.engine)
    store = open_store(settings.store_url)
    audit = AuditLog.of(settings)
    join_timeline(database, audit, store, policy=load_request_policy(settings))
    base = load_worker_base(settings)
    process = WorkerProcess(
        settings=settings,
        database=database,
        store=store,
        audit=audit,
        base=base,
        policy=policy_for_style(settings, load_policy(settings), base),
    )
    require_policy_fits_live_version(settings, database, store, process.policy, process.base)
    anchor(database, audit, store)
    with database.unit_of_work() as session:
        consolidations.announce_budget(session, asdict(process.policy.consolidation))
    return process


@cache
def current_process() -> WorkerProcess:
    """What this process holds. The first call that succeeds opens it."""
    return open_process(get_settings())


def load_policy(settings: Settings) -> Policy:
    """
    Raises:
        SettingError: the policy file cannot be read.
        UnlearningError: the file is not a valid policy.
    """
    if settings.policy_file is None:
        return default_policy()
    try:
        text = settings.policy_file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingError(f"LETHE_POLICY_FILE: cannot read {settings.policy_file}: {reason}") from error
    with naming("LETHE_POLICY_FILE", UnlearningError):
        return Policy.from_json(text)


def load_worker_base(settings: Settings) -> Base:
    """The base model on the worker's device.

    Raises:
        recommender.RecommenderError: the base cannot be read, or this machine has no such device.
    """
    require_worker_device(settings)
    refuse_base_trained_on_users(settings)
    with naming("LETHE_BASE", RecommenderError):
        return load_base(settings.base, device=settings.worker_device)


def refuse_base_trained_on_users(settings: Settings) -> None:
    """
    Raises:
        SettingError: the base was trained on users of the service by an earlier release.
    """
    if (Path(settings.base) / _TRAINED_ON_USERS).is_file():
        raise SettingError(
            f"LETHE_BASE: the base in {settings.base} was trained on a tenth of the users by an earlier release of "
            "Lethe, and what it knows of them cannot be forgotten: name another folder, and make a base there with "
            "lethe init --replace-base --data FOLDER"
        )


def require_worker_device(settings: Settings) -> None:
    """
    Raises:
        recommender.RecommenderError: this machine has no such device.
    """
    with naming("LETHE_WORKER_DEVICE", RecommenderError):
        require_device(settings.worker_device)
