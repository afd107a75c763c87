"""What was said of somebody stays true, whoever else acts at the same time."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.attempts import queries as attempt_queries
from app.db.base import utc_now
from app.db.errors import BelowErasureFloor, PointerMoved
from app.db.models import NeverSeenLevel, Version
from app.interactions import service as interactions
from app.interactions.service import NewInteraction
from app.readers import queries as reader_queries
from app.readers import service as readers
from app.readers.readership import READERSHIP, Readership, read_readership
from model_store import Manifest
from recommender import Base, BaseConfig, TrainingConfig, draw_base, load_base, save_base
from tests.integration.killing import Killed, killed_at
from tests.integration.tiny_model import ITEMS, USERS, subject_of
from tests.integration.worker.conftest import let_the_lease_lapse, request_forgetting
from tests.integration.worker.consolidating import request_consolidation
from tests.integration.worker.observing import (
    install,
    live,
    living,
    make_live,
    outcome,
    request_of,
    rows_of,
    run_of,
    store_again,
)
from tests.listening import Heard
from unlearning import decide_retained
from worker import completion, levels
from worker.execution import execute
from worker.first_fit import version as first_version
from worker.first_fit.importing import Imported
from worker.first_fit.version import Fit, install_first_version
from worker.process import WorkerProcess
from worker.taken_items import NOTHING, LeftOut
from worker.versions import load_version

ONE_EPOCH = Fit(TrainingConfig(epochs=1))


def fit_anew(process: WorkerProcess, base: Base) -> bool:
    """As `lethe init --replace-base` does."""
    nobody = Imported(frozenset())
    return install_first_version(
        process.database, process.settings, base, nobody, ONE_EPOCH, process.policy, Heard()
    )


def arrive(process: WorkerProcess, user: str, events: int = 6) -> None:
    """Events of somebody who came after the fit."""
    rows = [NewInteraction(subject_of(user), f"i{(5 + step) % ITEMS}", 100 + step) for step in range(events)]
    with process.database.unit_of_work() as session:
        interactions.ingest(session, rows)


def drain(process: WorkerProcess, run_id: str | None) -> None:
    while run_id is not None:
        run_id = execute(process, run_id)


def tell_base_readers(process: WorkerProcess, digest: str, *users: str) -> None:
    readers.record_base_readers(
        process.database, process.audit, digest, [subject_of(user) for user in users], actor="tests"
    )


@pytest.fixture
def other_base(process: WorkerProcess, tmp_path: Path) -> Base:
    catalogue = process.base.catalogue
    shape = BaseConfig(layers=1, width=16, heads=2, feed_forward=32, window=16)
    save_base(draw_base(catalogue, shape, seed=5), catalogue, process.base.style, tmp_path / "other")
    return load_base(tmp_path / "other")


def test_nobody_joins_a_run_that_has_published(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker was told to stop and handed it back; others wait by now."""
    run_id = request_forgetting(process, "user-1")

    def told_to_stop(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr("worker.execution.wait_for_acknowledgement", told_to_stop)
        with pytest.raises(SystemExit):
            execute(process, run_id)
    request_forgetting(process, "user-2")
    let_the_lease_lapse(process.database, run_id)
    next_run = execute(process, run_id)
    assert outcome(process, "user-1") == ("completed", "erased")
    assert outcome(process, "user-2") == ("queued", None)
    drain(process, next_run)
    assert outcome(process, "user-2") == ("completed", "erased")


@pytest.mark.parametrize("step", ["_fit", "store_version"])
def test_a_version_that_has_read_somebody_who_is_done_meanwhile_is_not_installed(
    process: WorkerProcess, other_base: Base, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """They were unknown to what was live, so that nothing raised the floor."""
    arrive(process, "late")
    before = live(process)
    real = getattr(first_version, step)

    def slow(*arguments: Any, **named: Any) -> Any:
        made = real(*arguments, **named)
        drain(process, request_forgetting(process, "late"))
        return made

    monkeypatch.setattr(first_version, step, slow)
    with pytest.raises(BelowErasureFloor):
        fit_anew(process, other_base)
    # What had read them and was in the store already is destroyed, and said to be.
    expected = "no_data" if step == "_fit" else "erased"
    assert outcome(process, "late") == ("completed", expected)
    assert living(process) == [live(process)] == [before]


def test_a_version_that_comes_while_a_run_is_under_way_is_looked_at(
    process: WorkerProcess, other_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator fits anew, on people who came since, beside a worker that is about to say that nothing knows them."""
    arrive(process, "late")
    installed: list[bool] = []
    real = first_version._fit

    def slow(*arguments: Any) -> Any:
        made = real(*arguments)
        # Now they ask, and a run finds that nothing that exists has read them.
        run_id = request_forgetting(process, "late")
        with monkeypatch.context() as patched:
            patched.setattr("worker.execution.wait_for_acknowledgement", told_to_stop)
            with pytest.raises(SystemExit):
                execute(process, run_id)
        return made

    def told_to_stop(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(first_version, "_fit", slow)
    installed.append(fit_anew(process, other_base))
    assert installed == [True]
    anew = replace(process, base=other_base)
    run_id = request_of(process, "late").run_id
    assert run_id is not None
    drain(anew, run_id)
    assert outcome(process, "late") == ("completed", "erased")
    readership = read_readership(process.store, live(process))
    assert readership is not None


def test_what_a_base_has_read_may_be_said_at_any_time(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of somebody who is done, of somebody whose run is about to be done, and of a base that comes back."""
    drain(process, request_forgetting(process, "nobody"))
    assert outcome(process, "nobody") == ("completed", "no_data")
    tell_base_readers(process, process.base.digest, "nobody")
    reopened = request_of(process, "nobody")
    assert (reopened.status, reopened.outcome, reopened.detail_code) == (
        "needs_attention", None, readers.KNOWN_TO_BASE,
    )  # fmt: skip

    def meanwhile(*_: object) -> LeftOut:
        tell_base_readers(process, process.base.digest, "nobody", "another")
        return NOTHING

    with monkeypatch.context() as patched:
        patched.setattr("worker.execution.wait_for_acknowledgement", meanwhile)
        execute(process, request_forgetting(process, "another"))
    assert outcome(process, "another") == ("needs_attention", None)
    tell_base_readers(process, "f" * 64, "user-1")
    with process.database.read() as session:
        assert reader_queries.base_readers_among(session, process.base.digest, [subject_of("another")])


def test_a_crash_after_erasing_does_not_turn_a_base_reader_into_somebody_erased(
    process: WorkerProcess,
) -> None:
    tell_base_readers(process, process.base.digest, "user-1")
    run_id = request_forgetting(process, "user-1")
    with killed_at("worker.completion._destroy_ineligible_versions"):
        execute(process, run_id)
    let_the_lease_lapse(process.database, run_id)
    execute(process, run_id)
    assert outcome(process, "user-1") == ("needs_attention", None)


def test_somebody_of_whom_rows_were_skipped_is_left_out_of_a_fit(
    process: WorkerProcess,
) -> None:
    """The gate measures the events that are stored; the adapter may have read others."""
    make_live(
        process, store_again(process, Readership.of(map(subject_of, USERS), partly=[subject_of("user-1")]))
    )
    run_id = request_forgetting(process, "user-1")
    drain(process, run_id)
    assert outcome(process, "user-1") == ("completed", "erased")
    with process.database.read() as session:
        assert [attempt.method for attempt in attempt_queries.of_run(session, run_id)] == ["refit"]
    readership = read_readership(process.store, live(process))
    assert readership is not None
    assert not readership.partly


def test_a_consolidation_that_waits_ends_where_the_version_was_withdrawn(process: WorkerProcess) -> None:
    run_id = request_consolidation(process, patience=timedelta(hours=1))
    next_run = execute(process, request_forgetting(process, *USERS))
    assert next_run == run_id
    execute(process, run_id)
    assert run_of(process, run_id).status == "completed"


def test_a_refused_fit_takes_only_those_along_whom_nothing_else_serves(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(report: Any, policy: Any) -> Any:
        verdict = decide_retained(report, policy)
        return replace(
            verdict,
            decision="fail",
            reasons=tuple(replace(reason, passed=False, binding=True) for reason in verdict.reasons),
        )

    make_live(process, store_again(process, Readership.of(map(subject_of, [*USERS, "dropped"]))))
    with monkeypatch.context() as patched:
        patched.setattr("worker.refitting.decide_retained", refuse)
        next_run = execute(process, request_forgetting(process, "dropped", "user-1", "nobody"))
    assert request_of(process, "dropped").detail_code == "refit_refused"
    assert outcome(process, "user-1")[0] == outcome(process, "nobody")[0] == "queued"
    drain(process, next_run)
    assert outcome(process, "user-1") == ("completed", "erased")
    # That was an exact re-fit here, which never read them either.
    assert outcome(process, "dropped")[0] in ("needs_attention", "completed")


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_record_that_is_lost_counts_as_everybody(process: WorkerProcess, harm: str) -> None:
    digest = live(process)
    manifest: Manifest = process.store.read_manifest(digest)
    blob = manifest.blobs[READERSHIP].digest
    (path,) = (p for p in Path(process.settings.store_url).rglob("*") if p.is_file() and blob in str(p))
    path.chmod(0o644)
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert read_readership(process.store, digest) is None
    drain(process, request_forgetting(process, "user-1", "nobody-knows"))
    assert outcome(process, "user-1") == outcome(process, "nobody-knows") == ("completed", "erased")
    assert read_readership(process.store, live(process)) is not None


def test_people_who_came_since_the_last_fit_are_enough_to_go_on_with(process: WorkerProcess) -> None:
    for number in range(6):
        arrive(process, f"new-{number}")
    drain(process, request_forgetting(process, *USERS))
    assert {outcome(process, user) for user in USERS} == {("completed", "erased")}
    readership = read_readership(process.store, live(process))
    assert readership == Readership.of(subject_of(f"new-{number}") for number in range(6))
    assert rows_of(process, "new-1") == 6


def test_nobody_who_is_done_is_remembered_as_a_past_reader(process: WorkerProcess) -> None:
    drain(process, request_forgetting(process, "user-1"))
    with process.database.unit_of_work() as session:
        readers.add_past_readers(session, [subject_of("user-1"), subject_of("user-2")])
        found = reader_queries.past_readers_among(session, [subject_of("user-1"), subject_of("user-2")])
    assert found == {subject_of("user-2")}


def test_many_subjects_are_asked_about_in_parts(process: WorkerProcess) -> None:
    many = [f"{number:064x}" for number in range(40_000)]
    with process.database.unit_of_work() as session:
        assert reader_queries.past_readers_among(session, many) == frozenset()
        assert reader_queries.base_readers_among(session, process.base.digest, many) == frozenset()
        readers.drop_past_readers(session, many)


def test_a_base_that_comes_back_still_knows_whom_it_has_read(
    process: WorkerProcess, other_base: Base
) -> None:
    tell_base_readers(process, other_base.digest, "user-1")
    drain(process, request_forgetting(process, "user-1", "user-2"))
    assert outcome(process, "user-1") == outcome(process, "user-2") == ("completed", "erased")
    assert fit_anew(process, other_base)
    reopened = request_of(process, "user-1")
    assert (reopened.status, reopened.outcome, reopened.detail_code) == (
        "needs_attention", None, readers.KNOWN_TO_BASE,
    )  # fmt: skip
    assert outcome(process, "user-2") == ("completed", "erased")


@pytest.mark.parametrize("killed", [False, True])
def test_what_a_base_has_read_may_be_said_between_erasing_and_completing(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    run_id = request_forgetting(process, "nobody", "user-1")
    real = completion._destroy_ineligible_versions

    def meanwhile(*arguments: Any, **named: Any) -> Any:
        tell_base_readers(process, process.base.digest, "nobody", "user-1")
        if killed:
            raise Killed
        return real(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(completion, "_destroy_ineligible_versions", meanwhile)
        with pytest.raises(Killed) if killed else nullcontext():
            execute(process, run_id)
    if killed:
        let_the_lease_lapse(process.database, run_id)
        execute(process, run_id)
    assert outcome(process, "nobody") == outcome(process, "user-1") == ("needs_attention", None)


def test_a_version_that_has_read_somebody_settled_is_not_installed_whatever_it_covers(
    process: WorkerProcess,
) -> None:
    """They waited when it was begun, so that its epoch lies above theirs; what is cached with it has read them."""
    arrive(process, "late")
    drain(process, request_forgetting(process, "late"))
    assert outcome(process, "late") == ("completed", "no_data")
    before = live(process)
    digest = store_again(process, Readership.of([subject_of("late")]), forget_epoch=10**6)
    version = Version(
        digest=digest,
        parent_digest=before,
        forget_epoch=10**6,
        method="fit",
        exact=True,
        published_at=utc_now(),
    )
    with pytest.raises(BelowErasureFloor):
        install(process, version, parent=before, readers=Readership.of([subject_of("late")]))
    assert live(process) == before


def test_levels_of_a_base_that_has_been_replaced_are_not_kept(
    process: WorkerProcess, other_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event has come in between, so that nothing else tells the two fits apart."""
    parent = load_version(process.store, live(process))
    real = levels.cross_fit

    def slow(*arguments: Any, **named: Any) -> Any:
        found = real(*arguments, **named)
        assert fit_anew(process, other_base)
        return found

    monkeypatch.setattr(levels, "cross_fit", slow)
    with pytest.raises(PointerMoved):
        levels.make_levels(process, parent, actor="tests", on_step=lambda _: None)
    with process.database.read() as session:
        assert session.scalars(select(NeverSeenLevel)).first() is None
