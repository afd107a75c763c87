"""What an operator does with versions: export, and an adapter from outside while another one serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from sqlalchemy import select

from app.db.errors import BelowErasureFloor
from app.db.models import AuditEntry
from app.readers.readership import read_readership
from app.takedowns import service as takedowns
from app.versions import queries as version_queries
from model_store import Floor, VersionBelowFloor, VersionDestroyed
from recommender import Adapter, AdapterConfig, TrainingConfig, attach, fit_adapter, load_base
from tests.integration.tiny_model import USERS, subject_of
from tests.integration.worker.conftest import request_forgetting
from tests.integration.worker.going_back import go_back
from tests.integration.worker.observing import live, outcome, serving
from worker.execution import execute
from worker.exporting import LINEAGE_FILE, FolderTaken, export_version
from worker.first_fit.errors import FirstFitError
from worker.first_fit.later_adapter import LaterAdapter, import_adapter
from worker.process import WorkerProcess
from worker.versions import load_version

# This is about what the commands decide. Pointer, floor and readers are tested on both databases elsewhere.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Silent:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def steps(self, _what: str) -> Iterator[Any]:
        yield lambda _step: None

    parts = steps


def actions(process: WorkerProcess) -> list[str]:
    with process.database.read() as session:
        return list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.sequence)))


# Of transformers, told by peft's own loading of a folder.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_exported_folder_is_one_that_peft_loads_to_the_same_logits(
    process: WorkerProcess, tmp_path: Path
) -> None:
    digest, folder = live(process), tmp_path / "adapter"
    export_version(process.database, process.audit, process.store, digest, folder)
    tokens = torch.arange(8).reshape(1, -1)
    with torch.no_grad():
        ours = attach(process.base, load_version(process.store, digest).adapter)(tokens).logits
        theirs = PeftModel.from_pretrained(load_base(process.settings.base).model, folder)(tokens).logits
        bare = load_base(process.settings.base).model(tokens).logits
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, bare)
    assert json.loads((folder / LINEAGE_FILE).read_text())["version"] == digest
    assert actions(process)[-1] == "version.exported"
    with pytest.raises(FolderTaken):
        export_version(process.database, process.audit, process.store, digest, folder)
    assert [path.name for path in tmp_path.glob(".adapter*")] == []


def test_what_may_not_serve_is_not_exported(process: WorkerProcess, tmp_path: Path) -> None:
    old = live(process)
    execute(process, request_forgetting(process, "user-1"))
    with pytest.raises(VersionDestroyed):
        export_version(process.database, process.audit, process.store, old, tmp_path / "old")
    process.store.raise_floor(Floor(99, "2026-01-01T00:00:00+00:00"))
    with pytest.raises(VersionBelowFloor):
        export_version(process.database, process.audit, process.store, live(process), tmp_path / "low")
    assert "version.exported" not in actions(process)
    assert list(tmp_path.glob("*low*")) == []


@pytest.fixture
def trained_elsewhere(process: WorkerProcess, tmp_path: Path) -> Path:
    """The operator's adapter for everybody's events, better than the one that serves."""
    sequences = list(USERS.values())
    recipe = TrainingConfig(epochs=6, lr=1e-2)
    adapter: Adapter = fit_adapter(process.base, sequences, AdapterConfig(r=4, alpha=8), recipe)
    adapter.save(tmp_path / "theirs")
    return tmp_path / "theirs"


def order(folder: Path, *users: str) -> LaterAdapter:
    readers = folder.with_name("readers.txt")
    readers.write_text("".join(f"{user}\n" for user in users))
    return LaterAdapter(folder, readers, trial_fit=False)


def test_an_adapter_from_outside_takes_the_place_of_what_serves_with_its_lineage(
    process: WorkerProcess, trained_elsewhere: Path
) -> None:
    before, listener = live(process), Silent()
    import_adapter(order(trained_elsewhere, *USERS, "somebody-elsewhere"), process.settings, listener)
    after = live(process)
    assert after != before
    manifest = process.store.read_manifest(after)
    assert manifest.parent == before
    readership = read_readership(process.store, after)
    assert readership is not None
    assert subject_of("somebody-elsewhere") in readership
    # Of somebody without a stored event the gate can measure nothing.
    assert readership.partly == {subject_of("somebody-elsewhere")}
    with process.database.read() as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence.desc())).first()
    assert entry is not None
    assert (entry.action, entry.actor) == ("version.installed", "lethe versions import")
    # What it knows is forgotten as from any other version, and the way back to the former one is open until then.
    go_back(process, before)
    go_back(process, after)
    execute(process, request_forgetting(process, "user-3"))
    assert outcome(process, "user-3") == ("completed", "erased")
    assert process.store.is_destroyed(after)


def test_an_adapter_that_knows_somebody_forgotten_is_refused_and_its_bytes_destroyed(
    process: WorkerProcess, trained_elsewhere: Path
) -> None:
    execute(process, request_forgetting(process, "user-1"))
    serves, stored = live(process), set(process.store.versions())
    with pytest.raises(BelowErasureFloor):
        import_adapter(order(trained_elsewhere, *USERS), process.settings, Silent())
    assert live(process) == serves
    assert all(process.store.is_destroyed(one) for one in set(process.store.versions()) - stored)
    # Trained without them it is taken.
    left = {user: history for user, history in USERS.items() if user != "user-1"}
    adapter = fit_adapter(
        process.base, list(left.values()), AdapterConfig(r=4, alpha=8), TrainingConfig(epochs=6, lr=1e-2)
    )
    adapter.save(trained_elsewhere)
    import_adapter(order(trained_elsewhere, *left), process.settings, Silent())
    assert live(process) != serves


def test_an_adapter_counts_as_trained_on_what_was_taken_down_unless_somebody_vouches(
    process: WorkerProcess, trained_elsewhere: Path
) -> None:
    with process.transaction() as transaction:
        taken = takedowns.take_down(
            transaction, item_id="i1", spellings=(), requested_by="tests", now=transaction.now()
        )
        version_queries.current(transaction.session).erasure_floor = taken.takedown.epoch
    asked = order(trained_elsewhere, *USERS)
    with pytest.raises(BelowErasureFloor):
        import_adapter(asked, process.settings, Silent())
    # What served is below that floor too.
    assert serving(process).digest is None
    import_adapter(replace(asked, without_taken_items=True), process.settings, Silent())
    assert process.store.read_manifest(live(process)).forget_epoch >= taken.takedown.epoch


def test_an_adapter_without_a_statement_of_whom_it_has_read_is_refused(
    process: WorkerProcess, trained_elsewhere: Path
) -> None:
    with pytest.raises(FirstFitError, match="names nobody"):
        import_adapter(order(trained_elsewhere), process.settings, Silent())
    with pytest.raises(FirstFitError, match="cannot read"):
        import_adapter(
            replace(order(trained_elsewhere), readers=trained_elsewhere / "none"),
            process.settings,
            Silent(),
        )
