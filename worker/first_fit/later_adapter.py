"""Takes an adapter that was trained elsewhere while a version serves already, with a statement of whom it has read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import transformers

from app.audit.log import AuditLog
from app.db.ledger import lock_ledger
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.forget_requests.policy import load_request_policy
from app.interactions import queries as interactions
from app.restoration.service import join_timeline
from app.selections import queries as selections
from app.settings import Settings
from app.subjects import SubjectKey
from app.suppressions import queries as suppressions
from app.takedowns import queries as takedowns
from app.versions.floor import vouch_for_floor
from model_store import open_store
from recommender import TrainingConfig, use_processor
from worker.first_fit.adoption import chosen_recipe
from worker.first_fit.errors import FirstFitError
from worker.first_fit.importing import Imported, read_ids
from worker.first_fit.listener import Listener
from worker.first_fit.version import Adopt, install_first_version
from worker.process import load_policy, load_worker_base, require_worker_device


@dataclass(frozen=True)
class LaterAdapter:
    """The operator's options; ``lethe versions import --help`` explains each of them.

    ``readers`` is a file with the ids, one a line, of everybody whose events the adapter was trained on.
    """

    folder: Path
    readers: Path
    recipe: Path | None = None
    confirmed: bool = False
    trial_fit: bool = True
    without_taken_items: bool = False


def import_adapter(order: LaterAdapter, settings: Settings, listener: Listener) -> None:
    """Check the adapter as `worker.first_fit.adoption` does, store it, and make it live instead of what serves.

    Somebody it has read may have asked to be forgotten. If their request still waits, their run unlearns them from this
    adapter; if it is settled, the adapter is refused. Whoever is not in the file counts as not read: the file is the
    operator's word. Whoever is in it and has no stored event counts as read in events that nobody can measure, and
    whoever came back after they had been forgotten as read in what was forgotten.
    The adapter counts as trained on every item that was taken down, unless the operator vouches for it; their word is
    about what was taken down before the call.

    Raises:
        FirstFitError, BelowErasureFloor, PointerMoved, RecommenderError, StoreError, DatabaseError: nothing has changed
            what serves; the message says in one line what to do.
    """
    use_processor(settings.torch_threads)
    transformers.utils.logging.disable_progress_bar()
    database = Database(open_database(settings.database_url, pooled=False))
    require_current_schema(database.engine)
    store = open_store(settings.store_url)
    if not (health := store.check()).writable:
        raise FirstFitError(f"the store at LETHE_STORE_URL cannot be written: {health.detail}")
    join_timeline(database, AuditLog.of(settings), store, policy=load_request_policy(settings))
    vouch_for_floor(database, store)
    require_worker_device(settings)
    key = SubjectKey(settings.subject_key.get_secret_value().encode())
    readers = read_ids(order.readers, key)
    if not readers:
        raise FirstFitError(f"{order.readers} names nobody: say whose events the adapter was trained on")
    recipe = chosen_recipe(
        order.recipe, order.folder, listener, default=TrainingConfig(), epochs=None, seed=0
    )
    # The base takes time to load. Whatever is asked for after this epoch counts as read, also what nobody vouches for.
    with database.unit_of_work() as session:
        epoch = lock_ledger(session).epoch
        stored = interactions.subjects(session)
        selected = frozenset(selections.subjects_by_epoch(session).values())
        returned = suppressions.return_epochs(session).keys()
        taken = frozenset(item_id for _, item_id in takedowns.after(session, 0))
    base = load_worker_base(settings)
    install_first_version(
        database,
        settings,
        base,
        Imported(
            readers,
            skipped=readers - stored,
            selected=readers & selected,
            returned=readers & returned,
            taken_items=frozenset() if order.without_taken_items else taken,
            epoch=epoch,
        ),
        Adopt(order.folder, recipe, order.confirmed, order.trial_fit, without_forgotten=True),
        load_policy(settings),
        listener,
        actor="lethe versions import",
    )
