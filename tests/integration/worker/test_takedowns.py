"""An item that was taken down is erased by a fit that was made after it, and nobody says so before (I13)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app.audit.verification import verify
from app.db.base import utc_now
from app.db.errors import BelowErasureFloor
from app.db.models import Interaction, NeverSeenLevel, Replica, Run
from app.interactions import queries as interaction_queries
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.readers import queries as readers
from app.subjects import SubjectKey
from recommender import TrainingConfig
from tests.integration.killing import killed_at
from tests.integration.takedowns import status_of, take_down, takedown_of
from tests.integration.tiny_model import SECRET, USERS, subject_of
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.consolidating import (
    actions,
    assert_fitted_on,
    attenuate,
    request_consolidation,
)
from tests.integration.worker.observing import live, living, outcome, rows_of, run_of
from tests.integration.worker.test_event_erasure import outcome as outcome_of_request
from tests.integration.worker.test_event_erasure import select_events
from tests.listening import Heard
from unlearning import ConsolidationBudget
from worker import consolidation, sweeper, taken_items
from worker.budget import request_if_due
from worker.examples import read_examples
from worker.execution import execute
from worker.first_fit import importing
from worker.first_fit.errors import FirstFitError
from worker.first_fit.version import Adopt, install_first_version
from worker.process import WorkerProcess
from worker.versions import read_fit_record

# Which database it is makes no difference here; `tests/integration/db` has both.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def down(process: WorkerProcess, item: str) -> None:
    take_down(process.database, process.audit, item)


def status(process: WorkerProcess, item: str) -> str:
    return status_of(process.database, item)


def events(process: WorkerProcess, item: str) -> int:
    with process.database.read() as session:
        return len(session.scalars(select(Interaction.id).where(Interaction.item_id == item)).all())


def test_the_next_consolidation_fits_without_its_events_and_says_which_version_serves(
    process: WorkerProcess, installed: str
) -> None:
    attenuated = attenuate(process)
    down(process, "i7")
    met = events(process, "i7")
    assert met > 1
    run_id = request_consolidation(process)
    assert execute(process, run_id) is None
    taken = takedown_of(process.database, "i7")
    assert (taken.run_id, taken.version_digest, taken.erased_events) == (run_id, live(process), met)
    assert status(process, "i7") == "erased"
    assert events(process, "i7") == 0
    assert living(process) == [live(process)]
    assert all(process.store.is_destroyed(digest) for digest in (installed, attenuated))
    left = {user: [item for item in items if item != 7] for user, items in USERS.items()}
    assert_fitted_on(process, left, seed=run_of(process, run_id).covers_epoch or 0)
    assert [name for name in actions(process) if name.startswith("item.")] == [
        "item.taken_down",
        "item.erased",
    ]
    assert [entry.item for entry in process.store.journal()] == ["i7"]
    assert verify(process.database, process.audit, process.store).problems == ()


def test_nothing_trains_on_it_or_measures_with_it(process: WorkerProcess, installed: str) -> None:
    down(process, "i7")
    fit = read_fit_record(process.store, installed)
    examples = read_examples(process, fit, subjects=(), covers_epoch=0, newest=True)
    index = process.base.catalogue.index("i7")
    assert all(
        index not in (*split.train, split.validation, split.test) for split in examples.data.everyone.values()
    )


def test_a_run_that_began_before_the_takedown_does_not_erase_it(
    process: WorkerProcess, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = request_consolidation(process)
    real = consolidation.refit_without

    def taken_down_meanwhile(*given: object, **named: object) -> object:
        down(process, "i7")
        return real(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(consolidation, "refit_without", taken_down_meanwhile)
    execute(process, run_id)
    monkeypatch.undo()
    first = live(process)
    assert first != installed
    assert (status(process, "i7"), events(process, "i7") > 0) == ("hidden", True)
    second = request_consolidation(process)
    execute(process, second)
    assert takedown_of(process.database, "i7").run_id == second
    assert process.store.is_destroyed(first)


def test_whoever_has_met_it_is_forgotten_by_a_fit_and_that_erases_it_too(
    process: WorkerProcess, installed: str
) -> None:
    """The ladder does not see the hidden event, which the live version has read."""
    down(process, "i7")
    user = next(user for user, items in USERS.items() if 7 in items)
    execute(process, request_forgetting(process, user))
    assert outcome(process, user) == ("completed", "erased")
    assert status(process, "i7") == "erased"


def test_an_attenuated_version_leaves_it_hidden(process: WorkerProcess, installed: str) -> None:
    down(process, "i7")
    digest = attenuate(process)
    assert taken_items.left_out(process).takedowns == ()
    assert digest == live(process)
    assert status(process, "i7") == "hidden"


@pytest.mark.parametrize("step", ["wait_for_acknowledgement", "complete"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_consolidation_that_is_killed_is_taken_up_and_says_it_once(
    process: WorkerProcess, installed: str, step: str, after: bool
) -> None:
    down(process, "i7")
    met = events(process, "i7")
    run_id = request_consolidation(process)
    with killed_at(f"worker.consolidation.{step}", after=after):
        execute(process, run_id)
    if (step, after) != ("complete", True):
        assert status(process, "i7") == "hidden"
        let_the_lease_lapse(process.database, run_id)
        execute(process, run_id)
    taken = takedown_of(process.database, "i7")
    assert (taken.run_id, taken.erased_events) == (run_id, met)
    assert actions(process).count("item.erased") == 1


def test_no_replica_may_hold_an_older_version(process: WorkerProcess, installed: str) -> None:
    hurried = replace(
        process,
        settings=process.settings.model_copy(
            update={"acknowledge_timeout_seconds": 0.1, "prepare_timeout_seconds": 0.1}
        ),
    )
    down(process, "i7")
    with process.database.unit_of_work() as session:
        session.add(
            Replica(
                id="replica", last_seen_at=utc_now() + timedelta(hours=1), generation=9, live_digest="x", epoch=99,
                resident_versions=["7" * 64],
            )
        )  # fmt: skip
    run_id = request_consolidation(process)
    execute(hurried, run_id)
    assert run_of(process, run_id).detail_code == "replicas_silent"
    with process.database.unit_of_work() as session:
        # It serves the new version, and still holds another one that nobody knows.
        row = session.get_one(Replica, "replica")
        row.live_digest, row.resident_versions = live(process), [live(process), "7" * 64]
    let_the_lease_lapse(process.database, run_id)
    execute(hurried, run_id)
    assert status(process, "i7") == "hidden"
    with process.database.unit_of_work() as session:
        session.get_one(Replica, "replica").resident_versions = [live(process)]
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    assert status(process, "i7") == "erased"


def test_whoever_waits_for_events_of_theirs_is_not_told_that_nothing_had_read_them(
    process: WorkerProcess, installed: str
) -> None:
    user = next(user for user, items in USERS.items() if 7 in items)
    request_id, run_id = select_events(process, user, "i7")
    down(process, "i7")
    # The consolidation goes first, and deletes the event that the request selects.
    consolidated = request_consolidation(process)
    with process.database.unit_of_work() as session:
        session.get_one(Run, run_id).created_at = utc_now().replace(year=2100)
    execute(process, consolidated)
    assert events(process, "i7") == 0
    with process.database.read() as session:
        assert subject_of(user) in readers.past_readers_among(session, [subject_of(user)])
    execute(process, run_id)
    assert outcome_of_request(process, request_id) == ("completed", "erased")


def test_levels_that_were_measured_with_its_events_go_with_them(
    process: WorkerProcess, installed: str
) -> None:
    fit = read_fit_record(process.store, installed)
    with process.database.unit_of_work() as session:
        session.add(
            NeverSeenLevel(
                subject_hmac=subject_of("user-1"), watermark=fit.watermark, smoothing=0.1, smoothed_nll=2.0,
                deviation=0.1, seen_smoothed_nll=1.0, created_at=utc_now(),
            )
        )  # fmt: skip
    down(process, "i7")
    execute(process, request_consolidation(process))
    with process.database.read() as session:
        assert session.query(NeverSeenLevel).count() == 0


def test_the_request_policy_may_ask_for_a_consolidation_at_once(
    process: WorkerProcess, installed: str
) -> None:
    budget = ConsolidationBudget()

    def due(*, policy: bool = True) -> str | None:
        return request_if_due(process.database, process.audit, process.settings, budget, for_takedowns=policy)

    assert due() is None
    down(process, "i7")
    assert due(policy=False) is None
    run_id = due()
    assert run_id is not None
    assert (run_of(process, run_id).reason, due()) == ("takedown", None)
    execute(process, run_id)
    assert (status(process, "i7"), due()) == ("erased", None)


def test_a_takedown_that_no_gateway_could_write_is_written_by_a_worker(process: WorkerProcess) -> None:
    down(process, "i7")
    assert sweeper.write_takedowns(process.database, process.settings) == 1
    assert sweeper.write_takedowns(process.database, process.settings) == 0
    assert [entry.item for entry in process.store.journal()] == ["i7"]


def test_an_adapter_that_was_trained_on_its_events_is_adopted_only_before_they_are_erased(
    process: WorkerProcess, installed: str, tmp_path: Path
) -> None:
    def adopt(*, vouched: bool = False) -> bool:
        # The data were stored after the takedown.
        imported = importing.Imported(frozenset(map(subject_of, USERS)), taken_items=mentioned, epoch=1)
        source = Adopt(tmp_path, TrainingConfig(), True, False, vouched)
        return install_first_version(
            process.database, process.settings, process.base, imported, source, process.policy, Heard()
        )

    down(process, "i7")
    mentioned: frozenset[str] = frozenset()
    with pytest.raises(FirstFitError, match="1 of the items that were taken down are not in the data"):
        adopt()
    execute(process, request_consolidation(process))
    mentioned = frozenset({"i7"})
    with pytest.raises(BelowErasureFloor):
        adopt(vouched=True)


def test_an_import_drops_its_events_and_says_so(process: WorkerProcess, tmp_path: Path) -> None:
    down(process, "i7")
    (tmp_path / "interactions.csv").write_text(
        "user_id,item_id,timestamp\n" + "".join(f"new,i{item},{item}\n" for item in range(5, 10))
    )
    heard = Heard()
    data = importing.read(tmp_path, 0)
    imported = importing.store(process.database, SubjectKey(SECRET.encode()), data, process.base, heard)
    assert "dropped 1 interactions with 1 items that were taken down" in heard.text
    assert (imported.taken_items, subject_of("new") in imported.skipped) == (frozenset({"i7"}), True)
    assert rows_of(process, "new") == 4
    with process.database.unit_of_work() as session:
        interactions.ingest(session, [NewInteraction(subject_of("new"), "i7", 99)])
        assert "i7" not in interaction_queries.newest_items(session, subject_of("new"), limit=9)
