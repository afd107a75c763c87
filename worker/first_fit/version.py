"""The first version, which serves before any forget request: fitted here, or made from the operator's own adapter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.audit.checkpoints import write_checkpoint
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.errors import BelowErasureFloor, PointerMoved
from app.db.models import Version
from app.db.session import Database
from app.interactions import queries as interaction_queries
from app.readers.past_readers import note_past_readers
from app.readers.readership import Readership, read_readership
from app.settings import Settings
from app.versions import queries as version_queries
from app.versions import service as pointer
from app.versions.floor import vouch_for_floor
from model_store import open_store
from recommender import Adapter, AdapterConfig, Base, TrainingConfig, fit_adapter
from recommender.adapters import trainable
from recommender.operators_adapter import adopted
from unlearning import Policy
from worker.first_fit.adoption import adopt
from worker.first_fit.asked import Asked
from worker.first_fit.errors import FirstFitError
from worker.first_fit.importing import Imported
from worker.first_fit.listener import Listener
from worker.first_fit.margins import beyond_margins
from worker.policy_fit import require_fitting_policy
from worker.stored_events import read_events
from worker.training_data import MINIMUM_RETAINED, TrainingData, minimum_events, split_training_data
from worker.versions import FitRecord, store_version


@dataclass(frozen=True)
class Fit:
    """Fit an adapter here."""

    training: TrainingConfig


@dataclass(frozen=True)
class Adopt:
    """Take the operator's adapter in `folder`, see `worker.first_fit.adoption`.

    ``without_forgotten``: whether the operator vouches that the adapter has not read users who have asked to be
    forgotten and whom the data do not mention.
    """

    folder: Path
    recipe: TrainingConfig
    confirmed: bool
    trial_fit: bool
    without_forgotten: bool


@dataclass(frozen=True)
class _Made:
    """An adapter with the record of its fit."""

    adapter: Adapter
    fit: FitRecord
    readership: Readership
    forget_epoch: int
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Start:
    """What the first version is made from, read in one transaction.

    A user who asks to be forgotten after that transaction has a higher epoch than the version covers. If a run
    completes for such a user before the version is installed, the installation is refused.
    """

    asked: Asked
    parent: str | None
    generation: int
    floor: int
    watermark: int
    data: TrainingData


def install_first_version(
    database: Database,
    settings: Settings,
    base: Base,
    imported: Imported,
    source: Fit | Adopt,
    policy: Policy,
    listener: Listener,
    *,
    actor: str = "lethe init",
) -> bool:
    """Make the first version live. False if everybody has been forgotten and nothing is left to fit on.

    Args:
        source: how to get the adapter.
        policy: the policy that forget runs will use on it.
        actor: the command, for the audit log.

    Raises:
        FirstFitError: there were never enough users.
        SettingError: the policy names a rung that cannot edit the adapter.
        BelowErasureFloor: the operator's adapter was trained on somebody who has been forgotten since.
    """
    start = _read(database, base, listener)
    if len(start.data.retained) < MINIMUM_RETAINED:
        least = minimum_events(base.style.first_target)
        few = (
            f"{len(start.data.retained)} users have {least} or more {_what(base)}, and an adapter needs "
            f"{MINIMUM_RETAINED}"
        )
        if not start.generation:
            raise FirstFitError(few)
        listener.say(f"{few}: no version is live, and everybody gets the fallback")
        return False

    def require_fitting(adapter: Adapter) -> None:
        require_fitting_policy(settings, policy, base, adapter)

    made = (
        _fit(base, start, source.training, require_fitting, listener)
        if isinstance(source, Fit)
        else _adopt(base, start, imported, source, require_fitting, policy, listener)
    )
    store = open_store(settings.store_url)
    if start.parent is not None and not store.is_destroyed(start.parent):
        note_past_readers(database, read_readership(store, start.parent), made.readership)
    digest = store_version(
        store,
        base,
        made.adapter,
        parent=start.parent,
        forget_epoch=made.forget_epoch,
        method="fit",
        config={},
        report=made.report,
        policy_hash=None,
        fit=made.fit,
        readership=made.readership,
        artefacts={},
    )
    version = Version(
        digest=digest,
        parent_digest=start.parent,
        forget_epoch=made.forget_epoch,
        method="fit",
        exact=True,
    )
    audit = AuditLog.of(settings)
    try:
        with Transaction.begin(database, audit) as transaction:
            version.published_at = now = transaction.now()
            generation = pointer.install(
                transaction,
                version,
                parent=start.parent,
                readers=made.readership,
                base_digest=base.digest,
                actor=actor,
                now=now,
                unread_up_to=start.asked.epoch,
            )
    except (BelowErasureFloor, PointerMoved):
        # The version may know somebody who has been forgotten, and it will never serve.
        store.destroy(digest)
        raise
    vouch_for_floor(database, store)
    write_checkpoint(database, audit, store)
    listener.say(f"version {digest[:16]} is live as generation {generation}")
    return True


def _read(database: Database, base: Base, listener: Listener) -> _Start:
    with database.unit_of_work() as session:
        asked = Asked.of(session)
        serving = version_queries.current(session)
        watermark = interaction_queries.watermark(session)
        histories = read_events(session, base, up_to=watermark)
    data = split_training_data(histories, (), set(asked.suppressions), first_target=base.style.first_target)
    short = len(histories) - len(data.retained) - len(data.waiting)
    if short:
        least = minimum_events(base.style.first_target)
        listener.say(
            f"{short} users have fewer than {least} {_what(base)}: a fit of Lethe's reads none of them"
        )
    return _Start(asked, serving.digest, serving.generation, serving.erasure_floor, watermark, data)


def _what(base: Base) -> str:
    return "rated interactions" if base.style.needs_ratings else "interactions"


def _fit(
    base: Base,
    start: _Start,
    training: TrainingConfig,
    require_fitting: Callable[[Adapter], None],
    listener: Listener,
) -> _Made:
    fit = FitRecord(start.watermark, training, AdapterConfig(), excludes_up_to_epoch=start.asked.epoch)
    # Check an untrained adapter of the same shape, to fail before minutes of training.
    require_fitting(Adapter.from_peft(trainable(base, fit.adapter_config.to_peft())))
    data = start.data
    with listener.steps("adapter") as on_step:
        adapter = fit_adapter(
            base,
            data.retain,
            fit.adapter_config,
            fit.training,
            validation=[(split.train, split.validation) for split in data.retained],
            on_step=on_step,
        )
    return _Made(adapter, fit, Readership.of(data.retained_subjects), start.asked.epoch)


def _adopt(
    base: Base,
    start: _Start,
    imported: Imported,
    source: Adopt,
    require_fitting: Callable[[Adapter], None],
    policy: Policy,
    listener: Listener,
) -> _Made:
    """The operator's adapter. It may have read everybody whom the data mention, even users with too few events.

    A user whom the data mention and who has asked to be forgotten is known to the adapter. A later run unlearns them;
    if their request is completed already, the installation is refused. It is also refused if the data do not mention
    every user who has asked, unless the operator vouches for them: a folder made after a request lacks that user, but
    an adapter trained before may know them. The same holds for items that were taken down.

    Raises:
        FirstFitError: the adapter may have read somebody who has asked to be forgotten.
    """
    # Fail before the trial fit, not after it.
    asked, covered = start.asked, start.asked.covered(imported)
    asked.require_nothing_forgotten(imported)
    if covered < start.floor:
        raise BelowErasureFloor
    if not source.without_forgotten:
        asked.require_all_in(imported)
    require_fitting(adopted(base, Adapter.load(source.folder)))
    taken = adopt(
        base,
        source.folder,
        start.data.retained,
        source.recipe,
        listener,
        confirmed=source.confirmed,
        trial_fit=source.trial_fit,
    )
    if taken.likeness is not None and (problem := beyond_margins(taken.likeness, policy)) is not None:
        listener.say(problem)
    return _Made(
        taken.adapter,
        FitRecord(start.watermark, taken.training, taken.adapter_config),
        Readership.of(
            [*imported.mentioned, *start.data.retained_subjects, *start.data.waiting],
            # Of these their run may find no stored event: it must fit without them all the same.
            partly=imported.skipped | {asked.selections[epoch] for epoch in asked.selections_read(imported)},
        ),
        covered,
        {} if taken.likeness is None else {"likeness": taken.likeness.to_plain()},
    )
