"""What is said of each part of the service: done for these, and not for those."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.audit.events import BaseReadersStated
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.models import BaseReader, ForgetRequest, Run, Version
from app.db.schema import migrate
from app.db.session import Database, open_database
from app.versions import queries as versions
from app.versions.parts import Part, Surroundings, of_request, of_version

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BASE = "b" * 64
AROUND = Surroundings(BASE, retriever=False)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    engine = open_database(f"sqlite:///{tmp_path}/lethe.sqlite3", pooled=False)
    migrate(engine)
    yield Database(engine)
    engine.dispose()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.unit_of_work() as opened:
        yield opened


def version(digest: str, *, run: str | None, exact: bool, epoch: int = 3) -> Version:
    return Version(
        digest=digest * 64, forget_epoch=epoch, method="m", exact=exact, run_id=run, published_at=NOON
    )


def request(session: Session, *, outcome: str, run: str | None) -> ForgetRequest:
    row = ForgetRequest(
        id="fr_1", subject_hmac="s" * 64, epoch=2, status="completed", outcome=outcome, run_id=run,
        requested_by="tests", received_at=NOON, due_at=NOON,
    )  # fmt: skip
    session.add(row)
    return row


def run(session: Session, name: str) -> str:
    session.add(Run(id=name, status="completed", stage="done", created_at=NOON, claims=1, fence=1))
    session.flush()
    return name


def states(parts: list[Part]) -> dict[str, str]:
    return {part.name: part.state for part in parts}


def test_an_edited_adapter_is_not_called_re_fitted(session: Session) -> None:
    edited = version("e", run=run(session, "ur_1"), exact=False)
    assert states(of_version(session, edited, AROUND)) == {
        "adapter": "edited",
        "base": "not covered",
        "popularity list": "exact",
        "answers": "exact",
        "elsewhere": "not covered",
    }
    fitted = version("f", run="ur_1", exact=True)
    assert states(of_version(session, fitted, AROUND))["adapter"] == "re-fitted"


def test_a_first_version_has_forgotten_nobody(session: Session) -> None:
    first = version("f", run=None, exact=True)
    (adapter, *_) = of_version(session, first, AROUND)
    assert (adapter.state, "after epoch 3" in adapter.detail) == ("not covered", True)


def test_a_base_is_attested_only_where_somebody_has_said_so(database: Database) -> None:
    def base() -> Part:
        with database.read() as session:
            return of_version(session, None, AROUND)[1]

    assert (base().state, "nobody has said" in base().detail) == ("not covered", True)
    with Transaction.begin(database, AuditLog(b"a key of at least thirty-two bytes")) as transaction:
        transaction.record(BaseReadersStated(base=BASE, readers=0), actor="tests")
    assert base().state == "attested"
    with database.unit_of_work() as session:
        session.add(BaseReader(base_digest=BASE, subject_hmac="s" * 64))
    assert (base().state, "1 people" in base().detail) == ("not covered", True)


def test_the_retriever_is_a_part_where_there_is_one(session: Session) -> None:
    assert states(of_version(session, None, Surroundings(BASE, retriever=True)))["retriever"] == "exact"


def test_who_was_never_known_was_not_edited_out_of_anything(session: Session) -> None:
    run_id = run(session, "ur_1")
    session.add(version("e", run=run_id, exact=False))
    session.flush()
    (adapter, *_) = of_request(session, request(session, outcome="no_data", run=run_id), AROUND)
    assert (adapter.state, adapter.detail) == ("exact", "nothing that exists had read them")


def test_a_consolidation_since_has_re_fitted_the_adapter_without_them(session: Session) -> None:
    edit, later = run(session, "ur_1"), run(session, "ur_2")
    session.add_all([version("e", run=edit, exact=False), version("f", run=later, exact=True)])
    asked = request(session, outcome="erased", run=edit)
    pointer = versions.current(session)
    pointer.digest = "e" * 64
    session.flush()
    assert of_request(session, asked, AROUND)[0].state == "edited"
    pointer.digest = "f" * 64
    session.flush()
    assert of_request(session, asked, AROUND)[0].state == "re-fitted"


def test_where_no_version_was_made_what_had_read_them_is_destroyed(session: Session) -> None:
    (adapter, *_) = of_request(session, request(session, outcome="erased", run=run(session, "ur_1")), AROUND)
    assert (adapter.state, "destroyed" in adapter.detail) == ("exact", True)
