"""A tiny fitted model and its users, installed as the live version: what the HTTP and worker tests start from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.base import utc_now
from app.db.models import Version
from app.db.session import Database
from app.forget_requests import service as forget_requests
from app.forget_requests.service import NOTHING_ELSE, Acceptance, Asked
from app.interactions import queries as interaction_queries
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.readers.readership import Readership
from app.settings import Settings
from app.subjects import SubjectKey
from app.versions import service as pointer
from model_store import open_store
from recommender import (
    Adapter,
    AdapterConfig,
    Base,
    BaseConfig,
    Catalogue,
    StepReport,
    TrainingConfig,
    build_base,
    fit_adapter,
    leave_two_out,
    load_base,
    save_base,
)
from unlearning import default_policy
from unlearning.progress import check_stop
from worker.versions import FitRecord, store_version

ITEMS = 24
SECRET = "a secret of at least thirty-two bytes"
AUDIT_SECRET = "another secret of at least 32 bytes"
SIGNING_KEY = "5e" * 32
USERS = {f"user-{number}": [(number * 5 + step) % ITEMS for step in range(8)] for number in range(12)}


@dataclass(frozen=True, eq=False)
class FirstFit:
    """Whom the first version is fitted on, and how."""

    users: Mapping[str, Sequence[int]] = field(default_factory=lambda: USERS)
    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(epochs=2))
    shape: AdapterConfig = field(default_factory=lambda: AdapterConfig(r=2, alpha=4))


FIRST_FIT = FirstFit()


def build_base_folder(folder: Path) -> Path:
    catalogue = Catalogue(
        item_ids=tuple(f"i{number}" for number in range(ITEMS)),
        titles=tuple(f"Title {number}" for number in range(ITEMS)),
    )
    config = BaseConfig(layers=1, width=16, heads=2, feed_forward=32, window=16)
    model = build_base(catalogue, [list(range(12)), list(range(12, 24))], config, TrainingConfig(epochs=1))
    save_base(model, catalogue, config.style(catalogue), folder)
    return folder


def tiny_settings(database_url: str, base: Path, root: Path) -> Settings:
    # Some tiny users have fewer events than the default policy decides about. In a world as small as this one every
    # rung but the re-fit is refused; tests that are not about the ladder try one such rung, and not all four.
    policy, default = root / "policy.json", default_policy()
    strata = tuple(replace(stratum, decides=True) for stratum in default.strata)
    ladder = (default.ladder[0], default.ladder[-1])
    policy.write_text(replace(default, strata=strata, ladder=ladder).to_json())
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url=database_url,
        broker_url=f"filesystem://{root}/broker",
        store_url=str(root / "store"),
        base=str(base),
        policy_file=policy,
        subject_key=SECRET,  # type: ignore[arg-type]
        audit_key=AUDIT_SECRET,  # type: ignore[arg-type]
        signing_key=SIGNING_KEY,  # type: ignore[arg-type]
        max_body_bytes=4096,
        feed_lease_seconds=5.0,
        database_prompt_seconds=5.0,
    )


def subject_of(user: str) -> str:
    return SubjectKey(SECRET.encode()).subject(user)


@cache
def _fit(
    base_folder: str, sequences: tuple[tuple[int, ...], ...], shape: AdapterConfig, training: TrainingConfig
) -> tuple[Base, Adapter]:
    """A fit. Many tests start from the same one, and nothing writes to it."""
    base = load_base(base_folder)
    return base, fit_adapter(base, sequences, shape, training)


def remembering(fit: Callable[..., Adapter]) -> Callable[..., Adapter]:
    """`fit_adapter`, which fits the same only once: equal arguments give equal bits, and nothing writes to them."""
    kept: dict[tuple[object, ...], tuple[Adapter, list[StepReport]]] = {}

    def remembered(
        base: Base,
        *asked: object,
        validation: object,
        on_step: Callable[[StepReport], None],
        should_stop: Callable[[], bool] | None,
    ) -> Adapter:
        key = (base.digest, base.catalogue_digest, repr(asked), repr(validation))
        if key not in kept:
            steps: list[StepReport] = []

            def note(step: StepReport) -> None:
                steps.append(step)
                on_step(step)

            found = fit(base, *asked, validation=validation, on_step=note, should_stop=should_stop)
            kept[key] = found, steps
            return found
        adapter, steps = kept[key]
        for step in steps:
            check_stop(should_stop)
            on_step(step)
        return adapter

    return remembered


def install_version(
    settings: Settings,
    database: Database,
    fit: FirstFit = FIRST_FIT,
    *,
    also_read: Sequence[str] = (),
) -> str:
    """Interactions, a fitted adapter, and the pointer on it; the version's digest.

    Args:
        also_read: users whom the adapter has read and of whom no events are there.
    """
    events = [
        NewInteraction(subject_of(user), f"i{item}", time)
        for user, history in fit.users.items()
        for time, item in enumerate(history)
    ]
    sequences = tuple(
        tuple(leave_two_out(history).train if len(history) > 2 else history) for history in fit.users.values()
    )
    base, adapter = _fit(settings.base, sequences, fit.shape, fit.training)
    with database.unit_of_work() as session:
        interactions.ingest(session, events)
        watermark = interaction_queries.watermark(session)
    digest = store_version(
        open_store(settings.store_url),
        base,
        adapter,
        parent=None,
        forget_epoch=0,
        method="fit",
        config={},
        report={},
        policy_hash=None,
        fit=FitRecord(watermark, fit.training, fit.shape),
        readership=Readership.of(subject_of(user) for user in [*fit.users, *also_read]),
        artefacts={},
    )
    version = Version(digest=digest, forget_epoch=0, method="fit", exact=True, published_at=utc_now())
    install(database, version, parent=None, base_digest=base.digest)
    return digest


def accept(
    database: Database, user: str, *, now: datetime | None = None, asked: Asked = NOTHING_ELSE
) -> Acceptance:
    """A request as a gateway accepts it that nobody here knows of."""
    with database.unit_of_work() as session:
        return forget_requests.accept(
            Transaction(session, AuditLog(AUDIT_SECRET.encode())),
            subject_hmac=subject_of(user),
            requested_by="tests",
            now=now or utc_now(),
            asked=asked,
        )


def install(
    database: Database,
    version: Version,
    *,
    parent: str | None,
    base_digest: str = "b" * 64,
    readers: Collection[str] = (),
) -> None:
    """Make a version live as the operator does."""
    with database.unit_of_work() as session:
        pointer.install(
            Transaction(session, AuditLog(AUDIT_SECRET.encode())),
            version,
            parent=parent,
            readers=readers,
            base_digest=base_digest,
            actor="tests",
            now=utc_now(),
        )
