"""From a folder of interactions to a live version: base model, interactions, adapter, pointer.

Every step looks first at what is there already, so a killed `init` is simply run again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import transformers
from sqlalchemy.orm import Session

from app.db import interactions, pointer
from app.db.audit import AuditLog
from app.db.base import utc_now
from app.db.interactions import NewInteraction
from app.db.ledger import lock_ledger, require_subject_key
from app.db.models import Version
from app.db.restoration import replay_journal
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.settings import Settings, get_settings
from app.subjects import InvalidUserId, SubjectKey
from cli.failures import CommandError
from cli.progress import progress_bar
from model_store import open_store
from recommender import (
    Adapter,
    AdapterConfig,
    Base,
    BaseConfig,
    InteractionData,
    SyntheticConfig,
    TrainingConfig,
    build_base,
    check_compatible,
    fit_adapter,
    generate_synthetic,
    k_core,
    load_interactions,
    save_base,
    split_panel,
)
from unlearning import collect_statistics
from worker.process import load_policy, load_worker_base, require_worker_device
from worker.training_data import TrainingData, split_training_data
from worker.versions import STATISTICS, FitRecord, store_version

PANEL_FILE = "panel.json"
# Beyond their tastes, generated users leave nothing that generalises: the best epoch by validation is one that has
# learnt hardly anything of any one user, and there would be nothing to forget that anybody could measure.
DEMO_TRAINING = TrainingConfig(epochs=12, patience=None)
_EVENTS_PER_TRANSACTION = 10_000


@dataclass(frozen=True)
class Panel:
    """Which users trained the base: a seeded draw, so that nobody has to be listed."""

    share: float
    seed: int


def initialise(
    *, data: Path | None, adapter: Path | None, panel: float, epochs: int | None, seed: int
) -> None:
    """Make the first version live; does nothing if one is.

    Raises:
        CommandError, RecommenderError, StoreError, DatabaseError: one line says what to do.
    """
    settings = get_settings()
    torch.set_num_threads(settings.torch_threads)
    transformers.utils.logging.disable_progress_bar()
    database = Database(open_database(settings.database_url, pooled=False))
    require_current_schema(database.engine)
    store = open_store(settings.store_url)
    with database.read() as session:
        live = pointer.current(session).digest
    # A database restored from an old backup can point at a version that was destroyed since: then fit again.
    if live is not None and not store.is_destroyed(live):
        print("a version is live already")
        return
    health = store.check()
    if not health.writable:
        # Said now and not after minutes of training.
        raise CommandError(f"the store at LETHE_STORE_URL cannot be written: {health.detail}")
    replay_journal(database, AuditLog(settings.audit_key.get_secret_value().encode()), store)
    # Both are read after minutes of training only; what is wrong with them is said now.
    require_worker_device(settings)
    load_policy(settings)
    loaded = _load(data, seed)
    base, service_users = _base(settings, loaded, Panel(panel, seed))
    _import(database, settings, loaded, base, service_users)
    training = DEMO_TRAINING if data is None else TrainingConfig()
    if epochs is not None:
        training = replace(training, epochs=epochs)
    _install(database, settings, base, adapter, replace(training, seed=seed))


def example_user(data: Path | None, seed: int) -> str:
    """A user of the service: anyone but the panel."""
    loaded = _read(data, seed)
    recorded = _recorded_panel(Path(get_settings().base))
    if recorded is None:
        return min(loaded.histories)
    return min(split_panel(loaded, share=recorded.share, seed=recorded.seed)[1])


def _read(path: Path | None, seed: int) -> InteractionData:
    return (
        generate_synthetic(SyntheticConfig(seed=seed)) if path is None else k_core(load_interactions(path), 5)
    )


def _load(path: Path | None, seed: int) -> InteractionData:
    loaded = _read(path, seed)
    for row in loaded.rejected[:10]:
        print(f"skipped {row.file}:{row.line}: {row.reason}")
    if len(loaded.rejected) > 10:
        print(f"skipped {len(loaded.rejected) - 10} more rows")
    return loaded


def _base(settings: Settings, data: InteractionData, panel: Panel) -> tuple[Base, list[str]]:
    """The base model and the users of the service: everyone, except a panel that trained the base."""
    directory = Path(settings.base)
    # A hub id is not a path of this machine; it is recognised by load_base.
    if not directory.exists() and (directory.is_absolute() or settings.base.startswith(".")):
        _train_base(directory, data, panel)
    base = load_worker_base(settings)
    recorded = _recorded_panel(directory)
    if recorded is None:
        return base, sorted(data.histories)
    return base, split_panel(data, share=recorded.share, seed=recorded.seed)[1]


def _recorded_panel(base: Path) -> Panel | None:
    """The panel a base of our own making was trained on; None for the operator's base, which knows no user of ours."""
    record = base / PANEL_FILE
    return Panel(**json.loads(record.read_text())) if record.is_file() else None


def _train_base(directory: Path, data: InteractionData, panel: Panel) -> None:
    users, _ = split_panel(data, share=panel.share, seed=panel.seed)
    config = BaseConfig()
    with progress_bar("base model") as on_step:
        model = build_base(
            data.catalogue,
            [data.items(user) for user in users],
            config,
            TrainingConfig(epochs=40, patience=None, seed=panel.seed),
            on_step=on_step,
        )
    # Built beside its place and moved there whole: half a base would be taken for one next time.
    building = directory.with_name(directory.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    save_base(model, data.catalogue, config.style(data.catalogue), building)
    (building / PANEL_FILE).write_text(json.dumps(vars(panel)))
    building.rename(directory)


def _import(
    database: Database, settings: Settings, data: InteractionData, base: Base, users: Sequence[str]
) -> None:
    key = SubjectKey(settings.subject_key.get_secret_value().encode())
    with database.unit_of_work() as session:
        require_subject_key(session, key.check)
    events: list[NewInteraction] = []
    unknown_items, invalid_users = set(), 0
    for user in users:
        try:
            subject = key.subject(user)
        except InvalidUserId:
            invalid_users += 1
            continue
        for event in data.histories[user]:
            item_id = data.catalogue.item_ids[event.item]
            if base.catalogue.index(item_id) is None:
                unknown_items.add(item_id)
                continue
            events.append(NewInteraction(subject, item_id, event.timestamp))
    if unknown_items:
        print(f"skipped {len(unknown_items)} items that the base model's catalogue does not list")
    if invalid_users:
        print(f"skipped {invalid_users} users: {InvalidUserId.__doc__}")
    if not events:
        raise CommandError(
            "no interaction is left to import; do the item ids match the base model's catalogue.json?"
        )
    stored = 0
    for start in range(0, len(events), _EVENTS_PER_TRANSACTION):
        with database.unit_of_work() as session:
            stored += interactions.ingest(session, events[start : start + _EVENTS_PER_TRANSACTION]).stored
    print(
        f"{len(users)} users, {len(events)} interactions ({stored} of them new), {len(base.catalogue)} items"
    )


def _install(
    database: Database, settings: Settings, base: Base, folder: Path | None, training: TrainingConfig
) -> None:
    with database.unit_of_work() as session:
        # Read together, under the lock that orders them: whoever asks from here on has a higher epoch than this
        # version can claim to cover, and if a run completes for them meanwhile, installing is refused.
        epoch = lock_ledger(session).epoch
        parent = pointer.current(session).digest
        watermark, data = _training_data(session, base)
    covered = data.retain
    if folder is None:
        fit = FitRecord(watermark, training, AdapterConfig(), excludes_up_to_epoch=epoch)
        with progress_bar("adapter") as on_step:
            adapter = fit_adapter(
                base,
                data.retain,
                fit.adapter_config,
                fit.training,
                validation=[(split.train, split.validation) for split in data.retained],
                on_step=on_step,
            )
    else:
        # Whom the operator's training left out is not known: whoever asks is unlearned.
        adapter = Adapter.load(folder)
        check_compatible(base, adapter)
        fit = FitRecord(watermark, training, _shape_of(adapter))
        covered = data.remaining
    digest = store_version(
        open_store(settings.store_url),
        base,
        adapter,
        parent=parent,
        forget_epoch=epoch,
        method="fit",
        config={},
        report={},
        policy_hash=None,
        fit=fit,
        artefacts={STATISTICS: collect_statistics(base, adapter, covered).to_bytes()},
    )
    audit = AuditLog(settings.audit_key.get_secret_value().encode())
    version = Version(
        digest=digest,
        parent_digest=parent,
        forget_epoch=epoch,
        method="fit",
        exact=True,
        published_at=utc_now(),
    )
    with database.unit_of_work() as session:
        generation = pointer.install(
            session, audit, version, parent=parent, actor="lethe init", now=utc_now()
        )
    print(f"version {digest[:16]} is live as generation {generation}")


def _training_data(session: Session, base: Base) -> tuple[int, TrainingData]:
    watermark = interactions.watermark(session)
    suppressed = interactions.suppressed_subjects(session)
    histories = interactions.histories(session, up_to=watermark)
    return watermark, split_training_data(histories, base.catalogue, (), suppressed)


def _shape_of(adapter: Adapter) -> AdapterConfig:
    """How a re-fit must shape its adapter to be comparable with the operator's own."""
    modules = adapter.config["target_modules"]
    shape = AdapterConfig(r=int(adapter.config["r"]), alpha=int(adapter.config["lora_alpha"]))
    return replace(shape, target_modules=modules if isinstance(modules, str) else tuple(sorted(modules)))
