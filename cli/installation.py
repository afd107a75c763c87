"""From a folder of interactions to a live version: base model, interactions, adapter, pointer.

Every step looks first at what is there already, so a killed `init` is simply run again.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import transformers

from app.audit.log import AuditLog
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.interactions import queries as interactions
from app.readers import queries as reader_queries
from app.readers import service as reader_records
from app.restoration.service import join_timeline
from app.settings import Settings, get_settings
from app.subjects import SubjectKey
from app.versions import queries as pointer
from app.versions.floor import vouch_for_floor
from cli.adoption import chosen_recipe
from cli.base_model import load_or_make_base
from cli.failures import CommandError
from cli.first_version import Adopt, Fit, install_first_version
from cli.importing import Imported, read, read_ids, report, require_known_items, store
from model_store import Store, open_store
from recommender import TrainingConfig, base_digest, use_processor
from worker.policy_fit import require_policy_fits_live_version
from worker.process import load_policy, load_worker_base, refuse_base_trained_on_users, require_worker_device
from worker.training_data import MINIMUM_EVENTS

# Beyond their tastes, generated users leave nothing that generalises: the best epoch by validation is one that has
# learnt hardly anything of any one user, and there would be nothing to forget that anybody could measure.
DEMO_TRAINING = TrainingConfig(epochs=14, patience=None)


def initialise(
    *,
    data: Path | None,
    adapter: Path | None,
    base_readers: Path | None,
    epochs: int | None,
    seed: int,
    recipe: Path | None,
    confirm_adapter: bool,
    without_forgotten: bool,
    trial_fit: bool,
    replace_base: bool,
) -> None:
    """Make the first version live; does nothing if one is.

    Raises:
        CommandError, RecommenderError, StoreError, DatabaseError: one line says what to do.
    """
    if adapter is not None and data is None:
        raise CommandError("--adapter needs --data: the folder that the adapter was trained on")
    settings = get_settings()
    use_processor(settings.torch_threads)
    transformers.utils.logging.disable_progress_bar()
    database = Database(open_database(settings.database_url, pooled=False))
    require_current_schema(database.engine)
    model_store = open_store(settings.store_url)
    key = SubjectKey(settings.subject_key.get_secret_value().encode())
    health = model_store.check()
    if not health.writable:
        # Said now and not after minutes of training.
        raise CommandError(f"the store at LETHE_STORE_URL cannot be written: {health.detail}")
    join_timeline(database, AuditLog.of(settings), model_store)
    vouch_for_floor(database, model_store)
    # Read after minutes of training only; what is wrong with them is said now.
    require_worker_device(settings)
    policy = load_policy(settings)
    refuse_base_trained_on_users(settings)
    readers = None if base_readers is None else read_ids(base_readers, key)
    if _is_live(database, model_store, settings, readers, replace_base=replace_base):
        if settings.policy_file is not None:
            base = load_worker_base(settings)
            require_policy_fits_live_version(settings, database, model_store, policy, base)
        print("a version is live already")
        return
    default = DEMO_TRAINING if data is None else TrainingConfig()
    training = chosen_recipe(recipe, adapter, default=default, epochs=epochs, seed=seed)
    with database.read() as session:
        known = interactions.subjects(session)
        used = bool(known) or pointer.current(session).generation > 0
    if data is None and used:
        # What is stored is what there is; generated users are for an installation that has none.
        if base_digest(settings.base) is None:
            raise CommandError(
                f"LETHE_BASE: there is no {settings.base}: put it back, or make one with --data"
            )
        base, imported = load_worker_base(settings), Imported(known)
        _record_base_readers(database, settings, base.digest, readers)
    else:
        loaded = read(data, seed)
        report(loaded)
        base = load_or_make_base(settings, loaded, seed)
        _record_base_readers(database, settings, base.digest, readers)
        require_known_items(loaded, base)
        imported = store(database, key, loaded, base)
    source = (
        Fit(training)
        if adapter is None
        else Adopt(adapter, training, confirm_adapter, trial_fit, without_forgotten)
    )
    install_first_version(database, settings, base, imported, source, policy)


def example_user(data: Path | None, seed: int) -> str:
    """A user whom a fit reads."""
    histories = read(data, seed).histories
    return min(user for user, history in histories.items() if len(history) >= MINIMUM_EVENTS)


def _is_live(
    database: Database,
    model_store: Store,
    settings: Settings,
    readers: Collection[str] | None,
    *,
    replace_base: bool,
) -> bool:
    """Whether a version on the base in LETHE_BASE is live. Then only what its base has read can be said anew.

    Raises:
        CommandError: the live version belongs to another base, and nobody has said that it is to be replaced.
    """
    with database.read() as session:
        live = pointer.current(session).digest
    # A database restored from an old backup can point at a version that was destroyed since: then fit again.
    if live is None or model_store.is_destroyed(live):
        return False
    belongs_to, found = model_store.read_manifest(live).base_digest, base_digest(settings.base)
    if found is None and replace_base:
        return False
    if found is None:
        raise CommandError(
            f"LETHE_BASE: there is no {settings.base}, and a version is live that needs it (base {belongs_to[:16]}): "
            "put it back, or make another with --replace-base and --data"
        )
    if found != belongs_to:
        if replace_base:
            return False
        raise CommandError(
            f"LETHE_BASE: the version that is live belongs to another base ({belongs_to[:16]}, this is {found[:16]}): "
            "put that base back, or fit anew on this one with --replace-base"
        )
    if readers is not None:
        _record_base_readers(database, settings, found, readers)
    return True


def _record_base_readers(
    database: Database, settings: Settings, digest: str, readers: Collection[str] | None
) -> None:
    """What the operator says, or what was recorded before; and say it."""
    audit = AuditLog.of(settings)
    if readers is not None:
        reader_records.record_base_readers(database, audit, digest, readers, actor="lethe init")
    with database.read() as session:
        known = reader_queries.count_base_readers(session, digest)
    if known:
        print(
            f"the base has read {known} people: what it knows of them no edit of an adapter reaches, and their "
            "requests need a person and another base"
        )
    else:
        print("the base has read nobody of the service, as far as anybody has said (--base-readers)")
