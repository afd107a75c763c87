"""`lethe init`: nobody in the data is left out in silence, and what has read whom is on record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db.base import utc_now
from app.db.models import BaseReader, ForgetRequest, Interaction
from app.db.session import Database
from app.readers.readership import read_readership
from app.runs import queries as runs
from app.settings import Settings
from app.versions import queries as pointer
from model_store import JournalEntry, open_store
from recommender import (
    AdapterConfig,
    BaseConfig,
    TrainingConfig,
    draw_base,
    fit_adapter,
    load_base,
    save_base,
)
from tests.integration.cli.running import assert_one_line, environment_of, lethe
from tests.integration.tiny_model import ITEMS, accept, subject_of
from tests.integration.worker.conftest import request_forgetting
from worker.execution import execute
from worker.process import WorkerProcess, open_process
from worker.versions import load_version

PEOPLE = 60
# Of the tiny base's.
SHAPE = BaseConfig(layers=1, width=16, heads=2, feed_forward=32, window=16)


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    return environment_of(settings)


@pytest.fixture
def process(settings: Settings) -> Iterator[Callable[[], WorkerProcess]]:
    """Opens a worker's child, once there is something to open."""
    opened: list[WorkerProcess] = []

    def open_now() -> WorkerProcess:
        opened.append(open_process(settings))
        return opened[-1]

    yield open_now
    for one in opened:
        one.database.dispose()


def history(person: int) -> list[int]:
    """As in a shop: two of three people have fewer than five events, and rare items are theirs alone."""
    length = (1, 2, 3, 4, 9, 14)[person % 6]
    return [(person * 7 + 5 * step) % ITEMS for step in range(length)]


def write(folder: Path, people: range, *, items: int = ITEMS) -> Path:
    folder.mkdir(exist_ok=True)
    rows = [f"person|{p},i{item % items},{step}" for p in people for step, item in enumerate(history(p))]
    (folder / "interactions.csv").write_text("user_id,item_id,timestamp\n" + "\n".join(rows) + "\n")
    titles = [f"i{item},Title {item}" for item in range(items)]
    (folder / "items.csv").write_text("item_id,title\n" + "\n".join(titles) + "\n")
    return folder


def adapter_of(base_folder: Path, folder: Path, people: range, *, held_out: int = 0) -> Path:
    """The operator's adapter, trained on everything of everybody, as no re-fit of ours would, but for the last
    `held_out` events.
    """
    base = load_base(str(base_folder))
    sequences = [kept for person in people if (kept := history(person)[: len(history(person)) - held_out])]
    fit_adapter(base, sequences, AdapterConfig(r=4, alpha=8), TrainingConfig(epochs=6, lr=1e-2)).save(folder)
    return folder


@pytest.fixture
def brought(base_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The data, and the operator's adapter that was trained on everybody in them."""
    data = write(tmp_path / "data", range(PEOPLE))
    return data, adapter_of(base_folder, tmp_path / "adapter", range(PEOPLE))


def fitting_on(data: Path) -> list[str]:
    return ["init", "--no-levels", "--data", str(data), "--epochs", "1"]


def adopting(data: Path, adapter: Path) -> list[str]:
    return ["init", "--no-levels", "--no-trial-fit", "--data", str(data), "--adapter", str(adapter)]


def finish(worker: WorkerProcess, run: str | None) -> None:
    """This run, and those that it leaves to be done."""
    while run is not None:
        run = execute(worker, run)


def live(database: Database) -> str | None:
    with database.read() as session:
        return pointer.current(session).digest


def test_everybody_in_the_data_is_a_user_of_the_service(
    environment: dict[str, str], database: Database, settings: Settings, tmp_path: Path
) -> None:
    data = write(tmp_path / "data", range(PEOPLE))
    done = lethe(*fitting_on(data), **environment)
    assert done.returncode == 0, done.stderr
    assert f"{PEOPLE} users, 330 interactions (330 of them new), {ITEMS} items" in done.stdout
    assert "20 users have fewer than 3 interactions: a fit of Lethe's reads none of them" in done.stdout
    assert "nobody has said whom it has read: if people of this service were in its training" in done.stdout
    with database.read() as session:
        stored = set(session.scalars(select(Interaction.subject_hmac)))
    assert stored == {subject_of(f"person|{person}") for person in range(PEOPLE)}
    digest = live(database)
    assert digest is not None
    readership = read_readership(open_store(settings.store_url), digest)
    assert readership is not None
    assert set(readership) == {
        subject_of(f"person|{person}") for person in range(PEOPLE) if len(history(person)) >= 3
    }


def test_everybody_can_be_forgotten_after_the_operators_adapter_has_read_them(
    environment: dict[str, str], brought: tuple[Path, Path], process: Callable[[], WorkerProcess]
) -> None:
    """Also who has one event, and whom no re-fit of ours would have read."""
    data, adapter = brought
    done = lethe(*adopting(data, adapter), **environment)
    assert done.returncode == 0, done.stderr
    worker = process()
    outcomes = {}
    for person in (0, 1, 2, 3):
        finish(worker, request_forgetting(worker, f"person|{person}"))
        with worker.database.read() as session:
            request = session.scalars(
                select(ForgetRequest).where(ForgetRequest.subject_hmac == subject_of(f"person|{person}"))
            ).one()
            outcomes[person] = (request.status, request.outcome)
    assert set(outcomes.values()) == {("completed", "erased")}
    with worker.database.read() as session:
        digest = pointer.current(session).digest
    assert digest is not None
    assert load_version(worker.store, digest).exact


def test_events_of_items_that_the_base_does_not_list_are_counted_and_no_more_than_one_in_a_hundred_is_left_out(
    environment: dict[str, str], database: Database, tmp_path: Path
) -> None:
    data = write(tmp_path / "data", range(PEOPLE))
    with (data / "interactions.csv").open("a") as file:
        file.write("person|0,unlisted,5\nperson|none,unlisted,5\nperson|2,other,7\n")
    done = lethe(*fitting_on(data), **environment)
    assert done.returncode == 0, done.stderr
    assert "skipped 3 interactions with 2 items that the base model's catalogue does not list" in done.stdout
    with (data / "interactions.csv").open("a") as file:
        file.writelines(f"person|{person},unlisted-{person},5\n" for person in range(10))
    other = environment | {"LETHE_DATABASE_URL": f"sqlite:///{tmp_path}/other.sqlite3"}
    assert lethe("migrate", **other).returncode == 0
    refused = lethe("init", "--data", str(data), "--epochs", "1", **other)
    assert_one_line(refused, "13 of 343 interactions", "catalogue.json")
    assert "adapter" not in refused.stderr


def test_whoever_lost_all_their_rows_was_read_by_the_operators_adapter_all_the_same(
    environment: dict[str, str], base_folder: Path, tmp_path: Path, process: Callable[[], WorkerProcess]
) -> None:
    data = write(tmp_path / "data", range(PEOPLE))
    with (data / "interactions.csv").open("a") as file:
        file.write("lost,i3,yesterday\n")
        file.write("elsewhere,unlisted,5\n")
    adapter = adapter_of(base_folder, tmp_path / "adapter", range(PEOPLE))
    done = lethe(*adopting(data, adapter), **environment)
    assert "interactions.csv:332: timestamp must be a number" in done.stdout, done.stderr
    worker = process()
    for user in ("lost", "elsewhere"):
        finish(worker, request_forgetting(worker, user))
    with worker.database.read() as session:
        outcomes = {row.subject_hmac: row.outcome for row in session.scalars(select(ForgetRequest))}
    # The first was served by a fit without both of them.
    assert set(outcomes.values()) == {"erased"}


def test_whom_the_base_has_read_is_said_by_the_operator_and_kept(
    environment: dict[str, str], database: Database, tmp_path: Path
) -> None:
    data = write(tmp_path / "data", range(PEOPLE))
    ids = tmp_path / "panel.txt"
    ids.write_text("person|1\n\n  person|2.0 \npanellist é\n", encoding="utf-8")
    init = fitting_on(data)
    done = lethe(*init, "--base-readers", str(ids), **environment)
    assert "the base has read 3 people" in done.stdout, done.stderr
    with database.read() as session:
        found = set(session.scalars(select(BaseReader.subject_hmac)))
    assert found == {subject_of("person|1"), subject_of("person|2.0"), subject_of("panellist é")}
    # Said again later, of the version that is live.
    ids.write_text("person|1\n")
    again = lethe(*init, "--base-readers", str(ids), **environment)
    assert "the base has read 1 people" in again.stdout
    assert "a version is live already" in again.stdout
    ids.write_text("")
    assert (
        "as was stated with --base-readers" in lethe(*init, "--base-readers", str(ids), **environment).stdout
    )
    ids.write_text("person\x001\n")
    assert_one_line(lethe(*init, "--base-readers", str(ids), **environment), "panel.txt, line 1")
    assert_one_line(lethe(*init, "--base-readers", str(tmp_path / "none"), **environment), "none")


def test_another_base_is_another_version_and_serves_those_whom_the_first_one_knew(
    environment: dict[str, str], database: Database, settings: Settings, base_folder: Path, tmp_path: Path
) -> None:
    data = write(tmp_path / "data", range(PEOPLE))
    ids = tmp_path / "panel.txt"
    ids.write_text("person|4\n")
    init = fitting_on(data)
    lethe(*init, "--base-readers", str(ids), **environment)
    worker = open_process(settings)
    finish(worker, request_forgetting(worker, "person|4"))
    with worker.database.read() as session:
        request = session.scalars(select(ForgetRequest)).one()
    assert (request.status, request.detail_code) == ("needs_attention", "known_to_base")
    first = live(database)
    # The operator brings a base that has not read them: drawn here, as where there is none.
    environment["LETHE_BASE"] = str(tmp_path / "drawn")
    assert_one_line(lethe(*init, **environment), "LETHE_BASE", "put it back")
    base = load_base(str(base_folder))
    save_base(draw_base(base.catalogue, SHAPE, seed=3), base.catalogue, base.style, tmp_path / "drawn")
    assert_one_line(lethe(*init, **environment), "LETHE_BASE", "another base", "--replace-base")
    assert live(database) == first
    done = lethe(*init, "--replace-base", **environment)
    assert "is live as generation" in done.stdout, done.stderr
    assert live(database) not in (None, first)
    worker.database.dispose()
    anew = open_process(settings.model_copy(update={"base": str(tmp_path / "drawn")}))
    with anew.database.read() as session:
        request = session.scalars(select(ForgetRequest)).one()
        assert request.status == "queued"
        run = session.scalars(select(ForgetRequest.run_id)).one()
    with anew.database.read() as session:
        run = runs.queued_run(session)
    assert run is not None
    execute(anew, run)
    with anew.database.read() as session:
        request = session.scalars(select(ForgetRequest)).one()
    assert (request.status, request.outcome) == ("completed", "erased")
    anew.database.dispose()


def test_a_base_that_an_earlier_release_trained_on_users_is_refused(
    environment: dict[str, str], base_folder: Path, tmp_path: Path
) -> None:
    import shutil

    data = write(tmp_path / "data", range(PEOPLE))
    shutil.copytree(base_folder, tmp_path / "trained")
    (tmp_path / "trained" / "panel.json").write_text(json.dumps({"share": 0.1, "seed": 0}))
    environment["LETHE_BASE"] = str(tmp_path / "trained")
    assert_one_line(lethe("init", "--data", str(data), **environment), "trained on a tenth of the users")


def test_an_adapter_that_was_trained_on_somebody_forgotten_is_refused(
    environment: dict[str, str],
    database: Database,
    brought: tuple[Path, Path],
    base_folder: Path,
    settings: Settings,
) -> None:
    data, adapter = brought
    worker = open_process(settings)
    execute(worker, request_forgetting(worker, "person|4"))
    worker.database.dispose()
    init = adopting(data, adapter)
    refused = lethe(*init, **environment)
    assert_one_line(refused, "every forgotten subject")
    assert live(database) is None
    # They are gone from the folder, and not from the adapter; only the operator can tell when that was trained.
    without = range(5, PEOPLE)
    write(data, without)
    assert_one_line(lethe(*init, **environment), "1 of those who have asked", "--trained-without-forgotten")
    assert live(database) is None
    # Without them it is welcome.
    adapter_of(base_folder, adapter, without)
    done = lethe(*init, "--trained-without-forgotten", **environment)
    assert done.returncode == 0, done.stderr
    assert live(database) is not None


def test_the_journal_of_a_lost_database_counts_for_an_adapter_from_outside(
    environment: dict[str, str],
    database: Database,
    base_folder: Path,
    settings: Settings,
    tmp_path: Path,
) -> None:
    """The store is all that is left of a service that had forgotten somebody."""
    data = write(tmp_path / "data", range(PEOPLE))
    # Without what the gate holds out: a re-fit is to serve the others as well.
    adapter = adapter_of(base_folder, tmp_path / "adapter", range(PEOPLE), held_out=2)
    open_store(settings.store_url).append_journal(
        JournalEntry(epoch=7, subject_hmac=subject_of("person|5"), suppressed_at=utc_now().isoformat())
    )
    init = adopting(data, adapter)
    # Their request is open again, and the adapter is below it: whoever it knows is unlearned.
    done = lethe(*init, **environment)
    assert done.returncode == 0, done.stderr
    first = live(database)
    worker = open_process(settings)
    with database.read() as session:
        run = runs.queued_run(session)
    finish(worker, run)
    worker.database.dispose()
    with database.read() as session:
        request = session.scalars(select(ForgetRequest)).one()
    assert (request.status, request.outcome) == ("completed", "erased")
    assert first is not None
    assert live(database) != first
    assert open_store(settings.store_url).is_destroyed(first)


def test_with_nobody_left_an_installation_goes_on_without_a_version(
    environment: dict[str, str], database: Database, settings: Settings, tmp_path: Path
) -> None:
    data = write(tmp_path / "data", range(6))
    init = fitting_on(data)
    assert lethe(*init, **environment).returncode == 0
    worker = open_process(settings)
    finish(worker, request_forgetting(worker, *(f"person|{person}" for person in range(6))))
    worker.database.dispose()
    assert live(database) is None
    again = lethe(*init, **environment)
    assert again.returncode == 0, again.stderr
    assert "dropped 33 interactions of users who have asked to be forgotten" in again.stdout
    assert "no version is live, and everybody gets the fallback" in again.stdout


def test_an_adapter_without_its_data_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    """Nobody could say whom it has read."""
    assert_one_line(lethe("init", "--adapter", str(tmp_path), **environment), "--adapter needs --data")


def test_a_base_that_is_missing_is_not_made_up_for_users_who_are_there(
    environment: dict[str, str], database: Database, tmp_path: Path
) -> None:
    data = write(tmp_path / "data", range(PEOPLE))
    init = ["init", "--no-levels", "--epochs", "1"]
    assert lethe(*init, "--data", str(data), **environment).returncode == 0
    before = live(database)
    environment["LETHE_BASE"] = str(tmp_path / "another")
    assert_one_line(lethe(*init, **environment), "LETHE_BASE", "put it back")
    assert_one_line(lethe(*init, "--replace-base", **environment), "LETHE_BASE", "--data")
    assert live(database) == before
    assert not (tmp_path / "another").exists()
    # With the data there is something to make it from.
    done = lethe(*init, "--replace-base", "--data", str(data), **environment)
    assert done.returncode == 0, done.stderr
    assert "read nobody of the service: it was drawn at random just now" in done.stdout
    assert live(database) != before


def test_too_few_people_for_any_adapter_is_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    data = write(tmp_path / "data", range(2))
    assert_one_line(lethe("init", "--data", str(data), **environment), "0 users have 3 or more interactions")


def test_whoever_has_asked_before_the_first_version_is_unlearned_from_the_operators_adapter(
    environment: dict[str, str], database: Database, brought: tuple[Path, Path], settings: Settings
) -> None:
    """Their request still waits when an adapter comes that was trained on them."""
    data, adapter = brought
    run = accept(database, "person|5").run_id
    init = adopting(data, adapter)
    done = lethe(*init, **environment)
    assert done.returncode == 0, done.stderr
    first = live(database)
    worker = open_process(settings)
    finish(worker, run)
    worker.database.dispose()
    with database.read() as session:
        request = session.scalars(select(ForgetRequest)).one()
    assert (request.status, request.outcome) == ("completed", "erased")
    assert live(database) != first
