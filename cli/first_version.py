"""The version that serves before anybody has asked to be forgotten: fitted here, or the operator's own adapter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from app.db import interactions, pointer
from app.db.audit import AuditLog
from app.db.base import utc_now
from app.db.ledger import lock_ledger
from app.db.models import Version
from app.db.session import Database
from app.settings import Settings
from cli.failures import CommandError
from cli.importing import Imported
from cli.progress import progress_bar
from model_store import open_store
from recommender import Adapter, AdapterConfig, Base, TrainingConfig, check_compatible, fit_adapter
from unlearning import collect_statistics
from worker.past_readers import note_past_readers
from worker.readership import Readership, read_readership
from worker.training_data import MINIMUM_EVENTS, MINIMUM_RETAINED, TrainingData, split_training_data
from worker.versions import STATISTICS, FitRecord, store_version


@dataclass(frozen=True)
class _Start:
    """What the first version is made from, read in one transaction.

    Whoever asks from then on has a higher epoch than the version can claim to cover; if a run completes for them
    meanwhile, installing is refused.
    """

    epoch: int
    epochs: dict[str, int]
    parent: str | None
    generation: int
    watermark: int
    data: TrainingData


def install_first_version(
    database: Database,
    settings: Settings,
    base: Base,
    imported: Imported,
    folder: Path | None,
    training: TrainingConfig,
) -> bool:
    """Make it live; False where everybody has been forgotten and nothing is left to fit on.

    Args:
        folder: the operator's adapter; None to fit one.

    Raises:
        CommandError: there never were enough users.
        BelowErasureFloor: the operator's adapter was trained on somebody who has been forgotten since.
    """
    start = _read(database, base)
    if len(start.data.retained) < MINIMUM_RETAINED:
        few = (
            f"{len(start.data.retained)} users have {MINIMUM_EVENTS} or more interactions, and an adapter needs "
            f"{MINIMUM_RETAINED}"
        )
        if not start.generation:
            raise CommandError(few)
        print(f"{few}: no version is live, and everybody gets the fallback")
        return False
    if folder is None:
        forget_epoch = start.epoch
        adapter, fit, covered, readers = _fit(base, start, training)
    else:
        adapter, fit, covered, readers = _adopt(base, start, imported, folder, training)
        # The operator's training left out whom the data do not mention. Whoever they do mention and who has asked since
        # is known to the adapter, and is unlearned when their turn comes; if it is over already, installing is refused.
        asked = [epoch for subject, epoch in start.epochs.items() if subject in imported.mentioned]
        forget_epoch = min(asked, default=start.epoch + 1) - 1
    store = open_store(settings.store_url)
    if start.parent is not None and not store.is_destroyed(start.parent):
        note_past_readers(database, read_readership(store, start.parent), readers)
    digest = store_version(
        store,
        base,
        adapter,
        parent=start.parent,
        forget_epoch=forget_epoch,
        method="fit",
        config={},
        report={},
        policy_hash=None,
        fit=fit,
        readership=readers,
        artefacts={STATISTICS: collect_statistics(base, adapter, covered).to_bytes()},
    )
    version = Version(
        digest=digest,
        parent_digest=start.parent,
        forget_epoch=forget_epoch,
        method="fit",
        exact=True,
        published_at=utc_now(),
    )
    with database.unit_of_work() as session:
        generation = pointer.install(
            session,
            AuditLog(settings.audit_key.get_secret_value().encode()),
            version,
            parent=start.parent,
            base_digest=base.digest,
            actor="lethe init",
            now=utc_now(),
        )
    print(f"version {digest[:16]} is live as generation {generation}")
    return True


def _read(database: Database, base: Base) -> _Start:
    with database.unit_of_work() as session:
        epoch = lock_ledger(session).epoch
        serving = pointer.current(session)
        watermark = interactions.watermark(session)
        epochs = interactions.suppression_epochs(session)
        histories = interactions.histories(session, up_to=watermark)
    data = split_training_data(histories, base.catalogue, (), set(epochs))
    short = len(histories) - len(data.retained) - len(data.waiting)
    if short:
        print(
            f"{short} users have fewer than {MINIMUM_EVENTS} interactions: a fit of Lethe's reads none of them"
        )
    return _Start(epoch, epochs, serving.digest, serving.generation, watermark, data)


_Made = tuple[Adapter, FitRecord, tuple[tuple[int, ...], ...], Readership]


def _fit(base: Base, start: _Start, training: TrainingConfig) -> _Made:
    fit = FitRecord(start.watermark, training, AdapterConfig(), excludes_up_to_epoch=start.epoch)
    data = start.data
    with progress_bar("adapter") as on_step:
        adapter = fit_adapter(
            base,
            data.retain,
            fit.adapter_config,
            fit.training,
            validation=[(split.train, split.validation) for split in data.retained],
            on_step=on_step,
        )
    return adapter, fit, data.retain, Readership.of(data.retained_subjects)


def _adopt(base: Base, start: _Start, imported: Imported, folder: Path, training: TrainingConfig) -> _Made:
    """The operator's adapter. It may have read everybody whom the data mention, also who has too few events."""
    adapter = Adapter.load(folder)
    check_compatible(base, adapter)
    fit = FitRecord(start.watermark, training, _shape_of(adapter))
    return adapter, fit, start.data.remaining, Readership.of(imported.mentioned)


def _shape_of(adapter: Adapter) -> AdapterConfig:
    """How a re-fit must shape its adapter to be comparable with the operator's own."""
    modules = adapter.config["target_modules"]
    shape = AdapterConfig(r=int(adapter.config["r"]), alpha=int(adapter.config["lora_alpha"]))
    return replace(shape, target_modules=modules if isinstance(modules, str) else tuple(sorted(modules)))
