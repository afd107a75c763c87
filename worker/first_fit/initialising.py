"""From a folder of interactions to a live version: base model, interactions, adapter, pointer.

Every step first checks what exists already, so a killed `init` can simply be run again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import transformers

from app.audit.log import AuditLog
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.failures import naming
from app.forget_requests.policy import load_request_policy
from app.interactions import queries as interactions
from app.readers import queries as reader_queries
from app.readers import service as reader_records
from app.restoration.service import join_timeline
from app.settings import Settings
from app.subjects import SubjectKey
from app.versions import queries as versions
from app.versions.floor import vouch_for_floor
from model_store import Store, open_store
from recommender import InteractionData, RecommenderError, TrainingConfig, base_digest, use_processor
from recommender.base import holds_catalogue
from recommender.imports.importing import EARLIER_FILE
from worker.first_fit.adoption import chosen_recipe
from worker.first_fit.base_model import is_there, load_or_make_base, require_style
from worker.first_fit.errors import FirstFitError
from worker.first_fit.golden import check_golden
from worker.first_fit.held_out import report_other_splits
from worker.first_fit.importing import (
    Imported,
    read,
    read_ids,
    report,
    require_known_items,
    require_ratings,
    store,
)
from worker.first_fit.listener import Listener
from worker.first_fit.version import Adopt, Fit, install_first_version
from worker.policy_fit import require_policy_fits_live_version
from worker.process import load_policy, load_worker_base, refuse_base_trained_on_users, require_worker_device
from worker.training_data import MINIMUM_EVENTS

# Generated users have nothing that generalises except their tastes. The best epoch by validation has hardly learnt
# anything about a single user, so there would be no measurable memory to forget.
DEMO_TRAINING = TrainingConfig(epochs=14, patience=None)


@dataclass(frozen=True)
class Order:
    """The operator's options for the first version; ``lethe init --help`` explains each of them."""

    data: Path | None = None
    adapter: Path | None = None
    base_readers: Path | None = None
    epochs: int | None = None
    seed: int = 0
    recipe: Path | None = None
    confirm_adapter: bool = False
    without_forgotten: bool = False
    trial_fit: bool = True
    replace_base: bool = False
    golden: Path | None = None


def initialise(order: Order, settings: Settings, listener: Listener) -> InteractionData | None:
    """Make the first version live; does nothing if a version is live already. Returns the interactions if it read them.

    Raises:
        FirstFitError, RecommenderError, StoreError, DatabaseError: the message says in one line what to do.
    """
    _check_order(order)
    use_processor(settings.torch_threads)
    transformers.utils.logging.disable_progress_bar()
    database = Database(open_database(settings.database_url, pooled=False))
    require_current_schema(database.engine)
    model_store = open_store(settings.store_url)
    key = SubjectKey(settings.subject_key.get_secret_value().encode())
    health = model_store.check()
    if not health.writable:
        # Fail now and not after minutes of training.
        raise FirstFitError(f"the store at LETHE_STORE_URL cannot be written: {health.detail}")
    join_timeline(database, AuditLog.of(settings), model_store, policy=load_request_policy(settings))
    vouch_for_floor(database, model_store)
    # These are needed only after minutes of training; check them now.
    require_worker_device(settings)
    policy = load_policy(settings)
    refuse_base_trained_on_users(settings)
    readers = None if order.base_readers is None else read_ids(order.base_readers, key)
    if _is_live(database, model_store, settings, readers, listener, replace_base=order.replace_base):
        if settings.policy_file is not None:
            base = load_worker_base(settings)
            require_policy_fits_live_version(settings, database, model_store, policy, base)
        listener.say("a version is live already")
        if order.adapter is not None:
            listener.say(
                "note: --data and --adapter were not read; `lethe versions import` installs a later adapter"
            )
        elif order.data is not None:
            listener.say("note: --data was not read; later events come in through POST /interactions")
        return None
    _check_base(order, settings)
    default = DEMO_TRAINING if order.data is None else TrainingConfig()
    training = chosen_recipe(
        order.recipe, order.adapter, listener, default=default, epochs=order.epochs, seed=order.seed
    )
    with database.read() as session:
        known = interactions.subjects(session)
        used = bool(known) or versions.current(session).generation > 0
    loaded = None
    if order.data is None and used:
        # Use the stored events. Generated users are only for an installation without any.
        if base_digest(settings.base) is None:
            raise FirstFitError(
                f"LETHE_BASE: there is no {settings.base}: put it back, or make one with --data"
            )
        base, imported = load_worker_base(settings), Imported(known)
        _record_base_readers(database, settings, base.digest, readers, listener)
    else:
        loaded = _read(order, listener)
        made = not is_there(settings)
        base = load_or_make_base(settings, loaded, order.seed)
        if made and readers is None:
            # The base was drawn at random just now, so it has read nobody.
            readers = frozenset()
        _record_base_readers(database, settings, base.digest, readers, listener, drawn=made)
        require_known_items(loaded, base, listener)
        require_ratings(loaded, base, listener)
        if order.adapter is not None:
            report_other_splits(loaded, base, listener)
        if order.golden is not None:
            rows = check_golden(order.golden, base, loaded)
            listener.say(
                f"{rows} golden rows are the same in our prompts, token for token; the file can be deleted now"
            )
        imported = store(database, key, loaded, base, listener)
    source = (
        Fit(training)
        if order.adapter is None
        else Adopt(order.adapter, training, order.confirm_adapter, order.trial_fit, order.without_forgotten)
    )
    install_first_version(database, settings, base, imported, source, policy, listener)
    if order.adapter is not None:
        listener.say(
            "note: the adapter's own folder, and every copy of it, goes on knowing whoever will be forgotten here: "
            "delete them when you no longer need them"
        )
    return loaded


def _check_order(order: Order) -> None:
    if order.data is None and order.adapter is not None:
        raise FirstFitError("--adapter needs --data: the folder that the adapter was trained on")
    if order.data is None and order.golden is not None:
        raise FirstFitError("--golden needs --data: its rows are of those users")


def _check_base(order: Order, settings: Settings) -> None:
    """Check what can be told before the data are read and stored."""
    if order.adapter is not None and not is_there(settings):
        raise FirstFitError(
            f"LETHE_BASE: there is no {settings.base}: name the base that the adapter was trained on"
        )
    require_style(settings)


def _read(order: Order, listener: Listener) -> InteractionData:
    with listener.parts("import") as show:
        show("the data are being read")
        loaded = read(order.data, order.seed)
    report(loaded, listener)
    return loaded


def example_user(data: InteractionData) -> str:
    """A user whom the fit of `lethe up`, which uses item tokens, reads."""
    histories = data.histories
    return min(user for user, history in histories.items() if len(history) >= MINIMUM_EVENTS)


def _is_live(
    database: Database,
    model_store: Store,
    settings: Settings,
    readers: Collection[str] | None,
    listener: Listener,
    *,
    replace_base: bool,
) -> bool:
    """Whether a version on the base in LETHE_BASE is live. If so, only the readers of its base can be recorded anew.

    Raises:
        FirstFitError: the live version belongs to another base or to other items, and the operator has not asked to
            replace it.
    """
    with database.read() as session:
        live = versions.current(session).digest
    # A database restored from an old backup can point to a version that was destroyed since. Then fit again.
    if live is None or model_store.is_destroyed(live):
        return False
    manifest, found = model_store.read_manifest(live), base_digest(settings.base)
    belongs_to = manifest.base_digest
    if found is None and replace_base:
        return False
    if found is None:
        raise FirstFitError(
            f"LETHE_BASE: there is no {settings.base}, and a version is live that needs it (base {belongs_to[:16]}): "
            "put it back, or make another with --replace-base and --data"
        )
    if found != belongs_to:
        if replace_base:
            return False
        raise FirstFitError(
            f"LETHE_BASE: the version that is live belongs to another base ({belongs_to[:16]}, this is {found[:16]}): "
            "put that base back, or fit anew on this one with --replace-base"
        )
    with naming("LETHE_BASE", RecommenderError):
        same_items = holds_catalogue(settings.base, manifest.catalogue_digest, manifest.catalogue_items)
    if not same_items:
        if replace_base:
            return False
        raise FirstFitError(
            "LETHE_BASE: the version that is live was made for other items: put that catalogue back (new items may "
            "only follow the ones that it had), or fit anew on this one with --replace-base"
        )
    if readers is not None:
        _record_base_readers(database, settings, found, readers, listener)
    return True


def _record_base_readers(
    database: Database,
    settings: Settings,
    digest: str,
    readers: Collection[str] | None,
    listener: Listener,
    *,
    drawn: bool = False,
) -> None:
    """Record whom the base has read, as the operator says; otherwise keep the earlier record. Report the result."""
    audit = AuditLog.of(settings)
    if readers is not None:
        reader_records.record_base_readers(database, audit, digest, readers, actor="lethe init")
    with database.read() as session:
        known = reader_queries.count_base_readers(session, digest)
        stated = reader_queries.is_stated(session, digest)
    if known:
        listener.say(
            f"the base has read {known} people: what it knows of them no edit of an adapter reaches, and their "
            "requests need a person and another base"
        )
    elif readers is None and (Path(settings.base) / EARLIER_FILE).is_file():
        raise FirstFitError(
            f"the base in {settings.base} holds an earlier adapter: say whom of the service that one had read with "
            "--base-readers FILE (an empty file: nobody)"
        )
    elif stated and drawn:
        listener.say(
            "the base has read nobody of the service: it was drawn at random just now, so all that is known of people "
            "is in the adapter, where forgetting reaches it"
        )
    elif stated:
        listener.say("the base has read nobody of the service, as was stated with --base-readers")
    else:
        listener.say(
            "the base counts as having read nobody of the service, because nobody has said whom it has read: if people "
            "of this service were in its training, name them with --base-readers FILE, because no edit of an adapter "
            "reaches what a base knows"
        )
