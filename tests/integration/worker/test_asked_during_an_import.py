"""People ask, and runs complete, while an adapter from outside is being checked. It may have read what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.db.errors import BelowErasureFloor
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.readers.readership import read_readership
from app.subjects import SubjectKey
from recommender import TrainingConfig
from tests.integration.takedowns import take_down
from tests.integration.tiny_model import SECRET, USERS, subject_of
from tests.integration.worker.consolidating import request_consolidation
from tests.integration.worker.observing import live
from tests.integration.worker.test_event_erasure import outcome, select_events
from tests.listening import Heard
from worker.execution import execute
from worker.first_fit import importing, later_adapter
from worker.first_fit import version as first_fit
from worker.first_fit.errors import FirstFitError
from worker.first_fit.later_adapter import LaterAdapter, import_adapter
from worker.first_fit.version import Adopt, install_first_version
from worker.process import WorkerProcess
from worker.versions import load_version

# This is about epochs. The pointer's swap and the selections are tested on both databases elsewhere.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PERSON = "user-1"


@pytest.fixture
def unread(process: WorkerProcess) -> str:
    """An item of an event that came after the fit: a run that forgets it needs no other version."""
    with process.database.unit_of_work() as session:
        interactions.ingest(session, [NewInteraction(subject_of(PERSON), "i20", 99)])
    return "i20"


@pytest.fixture
def theirs(process: WorkerProcess, tmp_path: Path) -> LaterAdapter:
    """It stands for one that was trained on that event too: the file of readers says so."""
    load_version(process.store, live(process)).adapter.save(tmp_path / "theirs")
    (tmp_path / "readers.txt").write_text("".join(f"{user}\n" for user in USERS))
    return LaterAdapter(tmp_path / "theirs", tmp_path / "readers.txt", confirmed=True, trial_fit=False)


def before(patch: pytest.MonkeyPatch, module: object, step: str, happens: Any) -> None:
    real = getattr(module, step)

    def late(*given: Any, **named: Any) -> Any:
        happens()
        return real(*given, **named)

    patch.setattr(module, step, late)


def nothing_came_of_it(process: WorkerProcess, serves: str, stored: set[str]) -> bool:
    new = set(process.store.versions()) - stored
    return live(process) == serves and all(process.store.is_destroyed(digest) for digest in new)


def test_a_selection_that_is_completed_during_the_trial_fit_keeps_the_adapter_out(
    process: WorkerProcess, unread: str, theirs: LaterAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id, run_id = select_events(process, PERSON, unread)
    serves, stored = live(process), set(process.store.versions())
    before(monkeypatch, first_fit, "adopt", lambda: execute(process, run_id))
    with pytest.raises(BelowErasureFloor):
        import_adapter(theirs, process.settings, Heard())
    # Neither pointer nor floor had moved.
    assert outcome(process, request_id) == ("completed", "no_data")
    assert nothing_came_of_it(process, serves, stored)


@pytest.mark.parametrize("done", ["during the trial fit", "before it"])
def test_a_selection_that_comes_while_the_base_is_loaded_counts_as_read(
    process: WorkerProcess, unread: str, theirs: LaterAdapter, monkeypatch: pytest.MonkeyPatch, done: str
) -> None:
    asked: list[tuple[str, str]] = []

    def ask() -> None:
        asked.append(select_events(process, PERSON, unread))
        if done == "before it":
            complete()

    def complete() -> None:
        execute(process, asked[0][1])

    serves, stored = live(process), set(process.store.versions())
    before(monkeypatch, later_adapter, "load_worker_base", ask)
    if done == "during the trial fit":
        before(monkeypatch, first_fit, "adopt", complete)
    with pytest.raises(BelowErasureFloor if done == "during the trial fit" else FirstFitError):
        import_adapter(theirs, process.settings, Heard())
    assert outcome(process, asked[0][0]) == ("completed", "no_data")
    assert nothing_came_of_it(process, serves, stored)


def test_a_selection_that_still_waits_is_forgotten_by_a_fit_after_the_import(
    process: WorkerProcess, unread: str, theirs: LaterAdapter
) -> None:
    request_id, run_id = select_events(process, PERSON, unread)
    import_adapter(theirs, process.settings, Heard())
    knows = live(process)
    readership = read_readership(process.store, knows)
    assert readership is not None
    assert readership.partly == {subject_of(PERSON)}
    assert execute(process, run_id) is None
    assert outcome(process, request_id) == ("completed", "erased")
    assert process.store.is_destroyed(knows)


def test_nobody_vouches_for_an_item_that_is_taken_down_and_erased_while_the_base_is_loaded(
    process: WorkerProcess, theirs: LaterAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def erase() -> None:
        take_down(process.database, process.audit, "i7")
        execute(process, request_consolidation(process))

    before(monkeypatch, later_adapter, "load_worker_base", erase)
    vouched = LaterAdapter(
        theirs.folder, theirs.readers, confirmed=True, trial_fit=False, without_taken_items=True
    )
    with pytest.raises(BelowErasureFloor):
        import_adapter(vouched, process.settings, Heard())


def test_a_selection_that_is_completed_after_the_data_were_stored_keeps_their_adapter_out(
    process: WorkerProcess, theirs: LaterAdapter, tmp_path: Path
) -> None:
    """As `lethe init --adapter` does: the operator's word is about exactly these data, which hold the event."""
    rows = "".join(f"{PERSON},i{item},{2_000 + item}\n" for item in range(20, 23))
    (tmp_path / "interactions.csv").write_text(f"user_id,item_id,timestamp\n{rows}")
    data, key = importing.read(tmp_path, 0), SubjectKey(SECRET.encode())
    imported = importing.store(process.database, key, data, process.base, Heard())
    request_id, run_id = select_events(process, PERSON, "i20")
    execute(process, run_id)
    assert outcome(process, request_id) == ("completed", "no_data")
    source = Adopt(theirs.folder, TrainingConfig(epochs=1), True, False, without_forgotten=True)
    with pytest.raises(FirstFitError, match="have had forgotten"):
        install_first_version(
            process.database, process.settings, process.base, imported, source, process.policy, Heard()
        )
