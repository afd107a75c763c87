"""Whoever comes back after having been forgotten: no version from outside a run brings back what was erased."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.db.base import utc_now
from app.db.errors import BelowErasureFloor
from app.forget_requests import decisions
from app.forget_requests import queries as request_queries
from app.forget_requests.decisions import Decision
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.subjects import SubjectKey
from recommender import TrainingConfig
from tests.integration.tiny_model import SECRET, USERS, subject_of
from tests.integration.worker.conftest import request_forgetting
from tests.integration.worker.observing import live
from tests.integration.worker.test_asked_during_an_import import before
from tests.listening import Heard
from worker.execution import execute
from worker.first_fit import importing
from worker.first_fit import version as first_fit
from worker.first_fit.errors import FirstFitError
from worker.first_fit.importing import Imported
from worker.first_fit.later_adapter import LaterAdapter, import_adapter
from worker.first_fit.version import Adopt, Fit, install_first_version
from worker.process import WorkerProcess
from worker.versions import load_version

# This is about epochs and times, which are the same on both databases.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PERSON = "user-1"
LATER = 4_000_000_000  # after any return
VOUCHED = True


def forget(process: WorkerProcess, user: str = PERSON) -> str:
    run_id = request_forgetting(process, user)
    execute(process, run_id)
    with process.database.read() as session:
        return request_queries.of_run(session, run_id)[0].id


def bring_back(process: WorkerProcess, request_id: str) -> None:
    for actor in ("officer", "counsel"):
        with process.transaction() as transaction:
            request = request_queries.find(transaction.session, request_id)
            assert request is not None
            decisions.readmit(transaction, request, Decision(actor, utc_now(), "new_consent"))


def stored(process: WorkerProcess, folder: Path, timestamp: int) -> Imported:
    """What `lethe init` finds in a folder with three events of the person from this time on."""
    rows = "".join(f"{PERSON},i{item},{timestamp + item}\n" for item in range(20, 23))
    (folder / "interactions.csv").write_text(f"user_id,item_id,timestamp\n{rows}")
    data, key = importing.read(folder, 0), SubjectKey(SECRET.encode())
    return importing.store(process.database, key, data, process.base, Heard())


@pytest.fixture
def theirs(process: WorkerProcess, tmp_path: Path) -> Path:
    load_version(process.store, live(process)).adapter.save(tmp_path / "theirs")
    return tmp_path / "theirs"


def adopt(process: WorkerProcess, theirs: Path, imported: Imported, *, vouched: bool) -> None:
    install(
        process, imported, Adopt(theirs, TrainingConfig(epochs=1), True, False, without_forgotten=vouched)
    )


def install(process: WorkerProcess, imported: Imported, source: Fit | Adopt) -> None:
    install_first_version(
        process.database, process.settings, process.base, imported, source, process.policy, Heard()
    )


def test_an_adapter_trained_on_what_they_had_forgotten_is_refused(
    process: WorkerProcess, theirs: Path, tmp_path: Path
) -> None:
    bring_back(process, forget(process))
    serves = live(process)
    imported = stored(process, tmp_path, 2_000)
    with pytest.raises(FirstFitError, match="interactions that 1 people have had forgotten"):
        adopt(process, theirs, imported, vouched=VOUCHED)
    assert live(process) == serves


def test_an_adapter_trained_on_later_interactions_alone_needs_the_operators_word(
    process: WorkerProcess, theirs: Path, tmp_path: Path
) -> None:
    bring_back(process, forget(process))
    serves = live(process)
    imported = stored(process, tmp_path, LATER)
    with pytest.raises(FirstFitError, match="what 1 of those who have asked"):
        adopt(process, theirs, imported, vouched=not VOUCHED)
    assert live(process) == serves
    adopt(process, theirs, imported, vouched=VOUCHED)
    assert live(process) != serves


def test_a_request_that_waits_since_before_a_return_keeps_no_adapter_out(
    process: WorkerProcess, theirs: Path, tmp_path: Path
) -> None:
    """It is installed, and the run of the request unlearns the person who waits, as without anybody's return."""
    request_id = forget(process)
    run_id = request_forgetting(process, "user-2")
    bring_back(process, request_id)
    serves = live(process)
    imported = stored(process, tmp_path, LATER)
    imported = replace(imported, mentioned=imported.mentioned | {subject_of("user-2")})
    adopt(process, theirs, imported, vouched=VOUCHED)
    knows = live(process)
    assert knows != serves
    execute(process, run_id)
    assert process.store.is_destroyed(knows)


def test_somebody_who_comes_back_after_the_data_were_compared_has_been_read(
    process: WorkerProcess, theirs: Path, tmp_path: Path
) -> None:
    """Their events were dropped as those of somebody suppressed; which of them are later, nobody has looked."""
    request_id = forget(process)
    imported = stored(process, tmp_path, LATER)
    bring_back(process, request_id)
    with pytest.raises(FirstFitError, match="have had forgotten"):
        adopt(process, theirs, imported, vouched=VOUCHED)


def test_a_list_of_readers_does_not_say_which_of_their_interactions_were_read(
    process: WorkerProcess, theirs: Path, tmp_path: Path
) -> None:
    bring_back(process, forget(process))
    serves = live(process)
    (tmp_path / "readers.txt").write_text("".join(f"{user}\n" for user in USERS))
    order = LaterAdapter(theirs, tmp_path / "readers.txt", confirmed=True, trial_fit=False)
    with pytest.raises(FirstFitError, match="have had forgotten"):
        import_adapter(order, process.settings, Heard())
    assert live(process) == serves
    (tmp_path / "readers.txt").write_text("".join(f"{user}\n" for user in USERS if user != PERSON))
    import_adapter(order, process.settings, Heard())
    assert live(process) != serves


@pytest.mark.parametrize("how", ["fitted", "adopted"])
def test_who_asks_and_comes_back_during_a_fit_that_has_read_them_keeps_its_version_out(
    process: WorkerProcess, theirs: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    newcomer = subject_of("newcomer")
    with process.database.unit_of_work() as session:
        events = [NewInteraction(newcomer, f"i{item}", 99 + item) for item in range(8)]
        assert interactions.ingest(session, events).stored == len(events)
    serves = live(process)

    def ask_and_come_back() -> None:
        request_id = forget(process, "newcomer")
        # No version had read them, so their request is settled without another one: the pointer has not moved.
        assert live(process) == serves
        bring_back(process, request_id)

    before(monkeypatch, first_fit, "fit_adapter" if how == "fitted" else "adopt", ask_and_come_back)
    imported = Imported(frozenset({newcomer, *map(subject_of, USERS)}))
    fit = Fit(TrainingConfig(epochs=1))
    adopted = Adopt(theirs, TrainingConfig(epochs=1), True, False, without_forgotten=VOUCHED)
    with pytest.raises(BelowErasureFloor):
        install(process, imported, fit if how == "fitted" else adopted)
    assert live(process) == serves
