"""Going back over HTTP and on the page. Each guard by itself: tests/integration/worker/test_rollback.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from app.api_keys.service import Scope
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.base import utc_now
from app.db.models import AuditEntry, ForgetRequest, RequestStatus, Run, RunKind, RunStatus, Version
from app.db.session import Database
from app.main import create_app
from app.settings import Settings
from app.versions import service as pointer
from app.versions.queries import current
from model_store import open_store
from tests.integration.http.conftest import issue_key
from tests.integration.http.test_dashboard import HTML, accept, log_in, send
from tests.integration.tiny_model import AUDIT_SECRET

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def install_again(settings: Settings, database: Database, first: str) -> str:
    """Another version beside the first, with another manifest and the same weights; its digest."""
    store = open_store(settings.store_url)
    manifest = store.read_manifest(first)
    contents = {name: store.read_blob(first, ref.digest) for name, ref in manifest.blobs.items()}
    second = store.publish(replace(manifest, parent=first, method="adopted"), contents)
    with database.unit_of_work() as session:
        pointer.install(
            Transaction(session, AuditLog(AUDIT_SECRET.encode())),
            Version(
                digest=second, parent_digest=first, forget_epoch=0, method="adopted", published_at=utc_now()
            ),
            parent=first,
            readers=(),
            base_digest="b" * 64,
            actor="tests",
            now=utc_now(),
        )
    return second


@pytest.fixture
def second(settings: Settings, database: Database, installed: str) -> str:
    return install_again(settings, database, installed)


@pytest.fixture
def opened(settings: Settings, database: Database, second: str) -> Iterator[TestClient]:
    key = issue_key(database, "operator", *Scope)
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {key}"}) as client:
        yield client


def live(database: Database) -> str | None:
    with database.read() as session:
        return current(session).digest


def refused(client: TestClient, digest: str) -> str:
    answer = client.post(f"/adapters/{digest}/rollback")
    assert answer.status_code == 409, answer.text
    assert answer.json()["code"] == "rollback-refused"
    return str(answer.json()["guard"])


def test_an_installation_that_forgot_nobody_is_undone(
    opened: TestClient, database: Database, installed: str, second: str
) -> None:
    assert live(database) == second
    answer = opened.post(f"/adapters/{installed}/rollback")
    assert answer.status_code == 200, answer.text
    assert answer.json()["left"] == second
    assert live(database) == installed
    with database.read() as session:
        entry = session.query(AuditEntry).filter_by(action="version.rolled_back").one()
    assert (entry.actor, entry.data["version"]) == ("operator", installed)
    assert refused(opened, installed) == "serves_already"


def test_a_version_below_the_floor_never_comes_back(
    opened: TestClient, database: Database, installed: str
) -> None:
    with database.unit_of_work() as session:
        current(session).erasure_floor = 1
    assert refused(opened, installed) == "below_floor"
    assert live(database) != installed


def test_whoever_was_erased_since_may_be_known_to_it(
    opened: TestClient, database: Database, installed: str
) -> None:
    request_id = accept(database, "user-1")
    with database.unit_of_work() as session:
        row = session.get_one(ForgetRequest, request_id)
        # As a run leaves it that had nothing to edit: the floor has not risen.
        row.status, row.outcome, row.completed_at = RequestStatus.COMPLETED, "no_data", utc_now()
    assert refused(opened, installed) == "read_settled"


def test_a_run_that_works_counts_on_the_present_version(
    opened: TestClient, database: Database, installed: str
) -> None:
    with database.unit_of_work() as session:
        session.add(
            Run(id=f"ur_{'1' * 32}", kind=RunKind.FORGET, status=RunStatus.RUNNING, created_at=utc_now())
        )
    assert refused(opened, installed) == "run_works"


def test_what_is_destroyed_or_unknown_does_not_come_back(
    opened: TestClient, database: Database, installed: str
) -> None:
    with database.unit_of_work() as session:
        session.get_one(Version, installed).destroyed_at = utc_now()
    assert refused(opened, installed) == "destroyed"
    assert opened.post(f"/adapters/{'0' * 64}/rollback").status_code == 404


def test_the_page_offers_it_and_says_which_guard_refuses(
    opened: TestClient, database: Database, installed: str
) -> None:
    browser = TestClient(opened.app, headers=HTML, follow_redirects=False)
    log_in(browser, issue_key(database, "olivia", *Scope))
    assert "makes it live again" in browser.get("/dashboard/versions").text
    path = f"/dashboard/versions/{installed}/rollback"
    assert send(browser, path) == "/dashboard/versions"
    assert live(database) == installed
    assert "it serves already" in send(browser, path)
