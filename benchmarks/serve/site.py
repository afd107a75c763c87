"""A service to measure: a base of random weights, users with histories, and two versions that rank differently."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from sqlalchemy import update

from app.api_keys import service as api_keys
from app.api_keys.service import Scope
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.base import utc_now
from app.db.models import ServingPointer, Version
from app.db.schema import migrate
from app.db.session import Database, open_database
from app.interactions.service import NewInteraction, ingest_in_slices
from app.readers.readership import Readership
from app.subjects import SubjectKey
from app.versions import service as versions
from model_store import ADAPTER_WEIGHTS, open_store
from recommender import (
    Adapter,
    AdapterConfig,
    Base,
    BaseConfig,
    Catalogue,
    TrainingConfig,
    draw_base,
    load_base,
    save_base,
)
from recommender.adapters import trainable
from worker.versions import FitRecord, store_version

_ADAPTER = AdapterConfig(r=8, alpha=16)
# Enough to change every ranking: the two versions must be told apart by their answers.
_DEVIATION = 0.05
_SCOPES = (Scope.RECOMMEND, Scope.METRICS_READ)


@dataclass(frozen=True)
class Size:
    """A model to serve and its users."""

    name: str
    shape: BaseConfig
    items: int
    users: int
    events: int


# The shape of the demo's base, and one whose forward takes most of the time.
TINY = Size("tiny", BaseConfig(layers=2, width=64, heads=4, feed_forward=128, window=64), 500, 500, 64)
LARGE = Size("25m", BaseConfig(layers=8, width=512, heads=8, feed_forward=1280, window=64), 2000, 200, 64)
SIZES = {size.name: size for size in (TINY, LARGE)}


@dataclass(frozen=True)
class ServeSite:
    """A folder with base, store and database. ``versions`` are the digests of the two, the live one first."""

    folder: Path
    size: Size
    versions: tuple[str, str]
    histories: dict[str, list[int]]
    environment: dict[str, str]
    key: str

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def version_bytes(self) -> int:
        """The size of the live version's own tensors: what a gateway that kept a version would keep."""
        store = open_store(self.environment["LETHE_STORE_URL"])
        return store.read_manifest(self.versions[0]).blobs[ADAPTER_WEIGHTS].bytes

    def point_at(self, digest: str, database: Database) -> None:
        """Move the serving pointer by hand, as fast as a database writes: both versions cover everybody."""
        with database.unit_of_work() as session:
            generation = ServingPointer.generation + 1
            session.execute(update(ServingPointer).values(digest=digest, generation=generation))

    def open(self) -> Database:
        return Database(open_database(self.environment["LETHE_DATABASE_URL"]))

    def requests(self, port: int, k: int = 10) -> list[str]:
        """A request for each user, as sent to the gateway."""
        return [
            f"GET /recommend?user_id={user}&k={k} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: Bearer {self.key}\r\n\r\n"
            for user in self.histories
        ]

    def bare_requests(self, path: str, k: int = 10, *, parameter: str | None = None) -> list[str]:
        """A request for each user as sent to a server without users: the history is in the body.

        Args:
            parameter: the field that a list of one is wrapped into, for a server that wants a batch.
        """
        found = []
        for history in self.histories.values():
            asked = {"history": history, "k": k}
            body = json.dumps(asked if parameter is None else {parameter: [asked]})
            found.append(
                f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}"
            )
        return found


def make_site(
    folder: Path, size: Size, seed: int, *, database_url: str | None = None, store_url: str | None = None
) -> ServeSite:
    """Draw the weights and the histories, and install the first version. No command and no fit: it takes seconds.

    Args:
        database_url: an empty database; None for SQLite in the folder.
        store_url: an empty store; None for one in the folder.
    """
    draw = random.Random(seed)
    catalogue = Catalogue(
        item_ids=tuple(f"i{number}" for number in range(size.items)),
        titles=tuple(f"Title {number}" for number in range(size.items)),
    )
    style = size.shape.style(catalogue)
    save_base(draw_base(catalogue, size.shape, seed=seed), catalogue, style, folder / "base")
    histories = {
        f"user-{number}": draw.sample(range(size.items), size.events) for number in range(size.users)
    }
    keys = {f"LETHE_{name}_KEY": secrets.token_hex(32) for name in ("SUBJECT", "AUDIT", "SIGNING")}
    environment = {
        **keys,
        "LETHE_DATABASE_URL": database_url or f"sqlite:///{folder}/lethe.sqlite3",
        "LETHE_BROKER_URL": f"filesystem://{folder}/broker",
        "LETHE_STORE_URL": store_url or str(folder / "store"),
        "LETHE_BASE": str(folder / "base"),
    }
    base = load_base(folder / "base")
    engine = open_database(environment["LETHE_DATABASE_URL"], pooled=False)
    migrate(engine)
    database = Database(engine)
    subject_key = SubjectKey(keys["LETHE_SUBJECT_KEY"].encode())
    with closing(_Disposing(database)):
        _store_events(database, catalogue, subject_key, histories)
        digests = tuple(_store(base, environment["LETHE_STORE_URL"], seed + number) for number in (1, 2))
        _install(database, keys["LETHE_AUDIT_KEY"], base, digests)
        with database.unit_of_work() as session:
            key = api_keys.issue(session, name="bench", scopes=_SCOPES, now=utc_now())
    return ServeSite(folder, size, (digests[0], digests[1]), histories, environment, key)


class _Disposing:
    def __init__(self, database: Database) -> None:
        self._database = database

    def close(self) -> None:
        self._database.dispose()


def _store_events(
    database: Database, catalogue: Catalogue, key: SubjectKey, histories: dict[str, list[int]]
) -> None:
    events = [
        NewInteraction(key.subject(user), catalogue.item_ids[item], time)
        for user, history in histories.items()
        for time, item in enumerate(history)
    ]
    ingest_in_slices(database, events)


def drawn_adapter(base: Base, seed: int) -> Adapter:
    """An adapter of random weights that changes what the base ranks."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = trainable(base, _ADAPTER.to_peft())
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0.0, _DEVIATION)
    return Adapter.from_peft(model)


def _store(base: Base, store: str, seed: int) -> str:
    return store_version(
        open_store(store),
        base,
        drawn_adapter(base, seed),
        parent=None,
        forget_epoch=0,
        method="fit",
        config={},
        report={},
        policy_hash=None,
        fit=FitRecord(0, TrainingConfig(), _ADAPTER),
        readership=Readership.of(()),
        artefacts={},
    )


def _install(database: Database, audit_key: str, base: Base, digests: Sequence[str]) -> None:
    now = utc_now()
    with database.unit_of_work() as session:
        for digest in reversed(digests):
            version = Version(digest=digest, forget_epoch=0, method="fit", exact=True, published_at=now)
            if digest != digests[0]:
                session.merge(version)
                continue
            versions.install(
                Transaction(session, AuditLog(audit_key.encode())),
                version,
                parent=None,
                readers=(),
                base_digest=base.digest,
                actor="bench",
                now=now,
            )
