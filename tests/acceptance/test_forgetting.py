"""From POST /users/{id}/forget to an adapter that no longer knows the user, in both sizes, with parts being killed.

The tests of one size share an installation and run in order: each forgets another user.
"""

from __future__ import annotations

import csv
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tests.acceptance.installation import (
    Installation,
    Process,
    assert_completed_once,
    children_of,
    completed,
    lives,
    raw_id_pattern,
    run_of,
    suppressed,
    until_idle,
    wait_until,
)
from tests.integration.backup import back_up
from tests.integration.refusing_database import away
from tests.integration.refusing_store import gone
from tests.ports import free_port


@pytest.fixture(scope="module")
def users(installation: Installation, small_data: Path) -> list[str]:
    """Users of the service with a history, the longest first; the panel's are not among them."""
    events: Counter[str] = Counter()
    with (small_data / "interactions.csv").open() as file:
        events.update(row["user_id"] for row in csv.DictReader(file))
    installation.start_gateway()
    with installation.client() as client:
        known = [
            user
            for user, _ in events.most_common()
            if client.get("/recommend", params={"user_id": user}).json()["personalised"]
        ]
    assert len(known) > 40
    return known


@pytest.fixture
def client(installation: Installation, users: list[str]) -> Iterator[httpx.Client]:
    with installation.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def started_worker(installation: Installation, users: list[str]) -> Process:
    return installation.start("worker")


@pytest.fixture
def worker(started_worker: Process, client: httpx.Client) -> Process:
    """Idle: a consolidation that waits would be first, and leave nothing to try."""
    until_idle(client)
    return started_worker


def test_a_user_is_forgotten_end_to_end(
    installation: Installation, client: httpx.Client, users: list[str], worker: Process
) -> None:
    user = users[0]
    before = client.get("/recommend", params={"user_id": user, "k": 5})
    assert before.json()["personalised"]
    assert before.headers["Lethe-Version"] == before.json()["version"]

    accepted = client.post(
        f"/users/{user}/forget", json={"reason": "withdrawn_consent", "client_reference": "T-1"}
    )
    assert accepted.status_code == 202
    location = accepted.headers["Location"]
    # Suppressed from the very answer on, on the replica that gave it.
    during = client.get("/recommend", params={"user_id": user, "k": 5}).json()
    assert (during["personalised"], during["fallback_reason"]) == (False, "suppressed")
    again = client.post(f"/users/{user}/forget")
    assert again.headers["Location"] == location
    assert again.json()["due_at"] == accepted.json()["due_at"]
    dropped = client.post(
        "/interactions",
        json={"interactions": [{"user_id": user, "item_id": during["items"][0]["item_id"], "timestamp": 1}]},
    ).json()
    assert (dropped["stored"], dropped["dropped_suppressed"]) == (0, 1)

    request = completed(client, location)
    assert request["outcome"] == "erased"
    run = run_of(client, request)
    assert run["status"] == "completed"
    attempts: list[dict[str, Any]] = run["attempts"]
    assert attempts[0]["method"] == "ucan"
    assert [attempt["accepted"] for attempt in attempts].count(True) == 1
    assert all(attempt["verdict"]["reasons"] for attempt in attempts)

    adapters = client.get("/adapters").json()
    assert adapters["live"] == run["version"] != before.json()["version"]
    assert adapters["erasure_floor"] == run["covers_epoch"]
    old = next(version for version in adapters["versions"] if version["digest"] == before.json()["version"])
    assert old["destroyed_at"]
    assert not old["eligible"]
    other = client.get("/recommend", params={"user_id": users[1]}).json()
    assert other["personalised"]
    assert other["version"] == adapters["live"]
    assert client.post(f"/users/{user}/forget").status_code == 200
    assert installation.lethe("audit", "verify").stdout.strip() == "the audit chain holds"


def test_a_user_nobody_knows_gets_the_same_answer_and_ends_as_no_data(
    client: httpx.Client, worker: Process
) -> None:
    before = client.get("/adapters").json()["live"]
    accepted = client.post("/users/quetzal-nobody/forget")
    assert accepted.status_code == 202
    assert completed(client, accepted.headers["Location"])["outcome"] == "no_data"
    assert client.get("/adapters").json()["live"] == before


def test_steady_load_sees_no_error_and_no_mixed_version(
    client: httpx.Client, installation: Installation, users: list[str], worker: Process
) -> None:
    """Every answer is a 200 that names a version, and equal questions to equal versions get equal answers."""
    asked = users[20:28]
    stop = threading.Event()
    statuses: Counter[int] = Counter()
    answers: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    mislabelled: list[str] = []
    lock = threading.Lock()

    def ask(user: str) -> None:
        with installation.client() as own:
            while not stop.is_set():
                response = own.get("/recommend", params={"user_id": user, "k": 10})
                body = response.json()
                with lock:
                    statuses[response.status_code] += 1
                    if response.status_code != 200:
                        continue
                    if response.headers["Lethe-Version"] != body["version"]:
                        mislabelled.append(user)
                    items = tuple(item["item_id"] for item in body["items"])
                    answers.setdefault((user, body["version"]), set()).add(items)
                time.sleep(0.01)

    threads = [threading.Thread(target=ask, args=(user,)) for user in asked]
    for thread in threads:
        thread.start()
    before = client.get("/adapters").json()["live"]
    request = completed(client, client.post(f"/users/{users[2]}/forget").headers["Location"])
    after = client.get("/adapters").json()["live"]
    stop.set()
    for thread in threads:
        thread.join()
    assert request["outcome"] == "erased"
    assert set(statuses) == {200}, statuses
    assert sum(statuses.values()) > 100
    assert not mislabelled
    versions = {version for _, version in answers}
    assert {before, after} <= versions
    assert {len(items) for items in answers.values()} == {1}


def test_a_worker_killed_in_the_middle_of_a_run_completes_it_once(
    client: httpx.Client, installation: Installation, users: list[str], worker: Process
) -> None:
    location = client.post(f"/users/{users[3]}/forget").headers["Location"]
    # The request is tied to its run once the run is claimed: the work has begun.
    wait_until(lambda: client.get(location).json()["run"] is not None, 60, what="the claim")
    worker.kill()
    assert not client.get(location).json()["done"]
    installation.restart(worker)
    request = completed(client, location)
    run = run_of(client, request)
    assert run["claims"] == 2
    assert_completed_once(client, str(run["id"]))


def test_a_worker_told_to_stop_in_the_middle_of_a_run_hands_it_back(
    client: httpx.Client, installation: Installation, users: list[str], worker: Process
) -> None:
    location = client.post(f"/users/{users[11]}/forget").headers["Location"]
    wait_until(lambda: client.get(location).json()["run"] is not None, 60, what="the claim")
    children = children_of(worker.popen.pid)
    assert children
    # All of its processes at once, as a service manager does; and the command more than once, as people do.
    os.killpg(worker.popen.pid, signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM):
        worker.popen.send_signal(number)
    assert worker.popen.wait(60) == 0
    wait_until(lambda: not any(map(lives, children)), 10, what="the end of the child")
    assert not client.get(location).json()["done"]
    assert "Traceback" not in worker.log.read_text()
    installation.restart(worker)
    run = run_of(client, completed(client, location))
    # Being told to stop is no failure of the run's.
    assert run["claims"] == 1
    assert_completed_once(client, str(run["id"]))


def test_a_gateway_killed_right_after_a_202_loses_nothing(
    client: httpx.Client, installation: Installation, users: list[str], worker: Process
) -> None:
    gateway = next(process for process in reversed(installation.processes) if process.name == "gateway")
    accepted = client.post(f"/users/{users[4]}/forget")
    gateway.kill()
    assert accepted.status_code == 202
    installation.start_gateway()
    request = completed(client, accepted.headers["Location"])
    assert request["outcome"] == "erased"
    assert_completed_once(client, str(request["run"]).rpartition("/")[2])
    assert not client.get("/recommend", params={"user_id": users[4]}).json()["personalised"]


def test_a_broker_that_loses_everything_loses_no_request(
    client: httpx.Client, installation: Installation, users: list[str], worker: Process
) -> None:
    worker.terminate()
    location = client.post(f"/users/{users[5]}/forget").headers["Location"]
    installation.size.lose_broker()
    installation.restart(worker)
    request = completed(client, location)
    assert_completed_once(client, str(request["run"]).rpartition("/")[2])


DAMAGED = [
    b"",
    b'{"body": "W10=", "hea',
    b"\xff\xfe\x00",
    b"[]",
    b"null",
    b"{}",
    b'{"body": "W10=", "headers": 3, "content-type": "application/json", "properties": {"delivery_tag": "a"}}',
]


def test_damaged_messages_stop_no_worker(
    client: httpx.Client, installation: Installation, users: list[str], worker: Process
) -> None:
    for message in DAMAGED:
        installation.size.put_message(message)
    # Its message comes after them.
    request = completed(client, client.post(f"/users/{users[12]}/forget").headers["Location"])
    assert_completed_once(client, str(request["run"]).rpartition("/")[2])
    assert "message.unreadable" in worker.log.read_text()
    assert worker.popen.poll() is None


def test_requests_that_wait_together_are_tried_in_one_run(
    client: httpx.Client, installation: Installation, users: list[str], worker: Process
) -> None:
    worker.terminate()
    locations = {client.post(f"/users/{user}/forget").headers["Location"] for user in users[6:9]}
    installation.restart(worker)
    # They may have ended in others.
    tried_in = {completed(client, location)["attempts"][0]["run"] for location in locations}
    assert [set(client.get(run).json()["attempts"][0]["requests"]) for run in tried_in] == [locations]


def test_a_second_replica_suppresses_and_swaps_too(
    client: httpx.Client, installation: Installation, users: list[str], worker: Process
) -> None:
    port = free_port()
    replica = installation.start_gateway(LETHE_PORT=str(port))
    user = users[9]
    with installation.client(port) as other:
        assert other.get("/recommend", params={"user_id": user}).json()["personalised"]
        location = client.post(f"/users/{user}/forget").headers["Location"]
        wait_until(lambda: suppressed(other, user), 10, what="suppression on the second replica")
        completed(client, location)
        live = client.get("/adapters").json()["live"]
        assert other.get("/recommend", params={"user_id": users[10]}).json()["version"] == live
    replica.terminate()


def test_a_worker_killed_in_the_middle_of_a_consolidation_completes_it_once(
    client: httpx.Client, installation: Installation, users: list[str], worker: Process
) -> None:
    before = client.get("/adapters").json()
    location = client.post("/consolidations").headers["Location"]
    wait_until(lambda: client.get(location).json()["status"] == "running", 60, what="the claim")
    worker.kill()
    assert client.get(location).json()["status"] == "running"
    # Asked again meanwhile it is the same run, not a second one; and nobody is served less.
    assert client.post("/consolidations").headers["Location"] == location
    assert client.get("/recommend", params={"user_id": users[10]}).json()["version"] == before["live"]
    installation.restart(worker)
    wait_until(lambda: client.get(location).json()["status"] == "completed", 240, what="the consolidation")
    run = client.get(location).json()
    assert run["claims"] == 2
    assert_completed_once(client, run["id"])
    after = client.get("/adapters").json()
    assert after["live"] == run["version"] != before["live"]
    # Nothing older is left to serve, and nothing is left to consolidate.
    assert {v["digest"] for v in after["versions"] if not v["destroyed_at"]} == {after["live"]}
    spent = {item["name"]: item["spent"] for item in after["consolidation"]["items"]}
    assert (spent["attenuated_subjects"], spent["attenuations"]) == (0, 0)
    # Who was forgotten before stays suppressed.
    assert not client.get("/recommend", params={"user_id": users[0]}).json()["personalised"]


def test_a_backup_is_restored_under_running_processes(
    client: httpx.Client, installation: Installation, users: list[str], worker: Process
) -> None:
    """The runbook of docs/how-to/recover.md, step by step."""
    url = installation.size.database_url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, poolclass=NullPool)
    restore = back_up(engine)
    before = client.post(f"/users/{users[13]}/forget")
    completed(client, before.headers["Location"])
    restore()
    recovered = installation.lethe("recover")
    assert "requests were accepted again, under their old deadlines" in recovered.stdout
    # Found at its old place, with its old clock, and done once more.
    request = completed(client, before.headers["Location"])
    assert (request["id"], request["due_at"]) == (before.json()["id"], before.json()["due_at"])
    assert request["outcome"] == "erased"
    assert not client.get("/recommend", params={"user_id": users[13]}).json()["personalised"]
    again = installation.lethe("recover")
    assert "stands" in again.stdout
    assert "not completed: none" in again.stdout
    engine.dispose()


def test_no_raw_user_id_was_written_anywhere(installation: Installation, users: list[str]) -> None:
    written = installation.everything_written()
    assert b"request" in written
    leaked = [user for user in users if raw_id_pattern(user).search(written)]
    assert not leaked
    assert "Traceback" not in installation.logs()


def test_the_page_shows_the_jobs(client: httpx.Client, installation: Installation) -> None:
    page = httpx.get(installation.url, auth=("anyone", installation.key))
    assert page.status_code == 200
    assert "completed" in page.text
    assert httpx.get(installation.url).status_code == 401


def test_outages_of_seconds_cost_a_run_nothing_but_time(
    client: httpx.Client, installation: Installation, users: list[str], worker: Process
) -> None:
    """More of them than claims are allowed, each in the middle of the run."""
    location = client.post(f"/users/{users[19]}/forget").headers["Location"]
    held_up = 0
    for _ in range(5):
        if not wait_for_work(client, location):
            break
        with outage(installation):
            time.sleep(1.5)
        held_up += 1
    assert held_up > 3
    request = completed(client, location)
    run = run_of(client, request)
    assert (request["outcome"], request["detail_code"], run["status"]) == ("erased", None, "completed")
    assert run["claims"] == 1


def outage(installation: Installation) -> AbstractContextManager[None]:
    """Of the database where it is a server, else of the store."""
    if installation.size.name == "full":
        return away(installation.size.database_url)
    return gone(installation.root / "store")


def wait_for_work(client: httpx.Client, location: str) -> bool:
    """Until a worker is at the request's run, and not waiting for anything else; False if it is done."""
    request: dict[str, Any] = {}

    def at_work() -> bool:
        request.update(client.get(location).raise_for_status().json())
        return request["done"] or (request["status"] == "unlearning" and request["detail_code"] is None)

    wait_until(at_work, 60, what="a claim")
    return not request["done"]
