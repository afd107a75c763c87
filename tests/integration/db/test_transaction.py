"""One transaction: what is changed and what is said of it are kept together, under the ledger's lock."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.audit.events import ForgetRetried
from app.audit.transaction import Transaction
from app.db.errors import DatabaseRewound
from app.db.models import AuditEntry
from tests.integration.db.conftest import Service


def said(service: Service) -> list[tuple[str, str, dict[str, str]]]:
    with service.database.read() as session:
        return [(entry.actor, entry.action, entry.data) for entry in session.scalars(select(AuditEntry))]


def test_an_event_is_written_as_an_entry_of_the_chain(service: Service) -> None:
    with Transaction.begin(service.database, service.audit) as transaction:
        transaction.record(ForgetRetried("fr_1"), actor="tests")
        transaction.record(ForgetRetried("fr_2"))
        assert transaction.ledger.audit_sequence == 2
    assert said(service) == [
        ("tests", "forget.retried", {"request": "fr_1"}),
        ("worker", "forget.retried", {"request": "fr_2"}),
    ]
    with service.database.read() as session:
        assert service.audit.first_broken(session) is None


def fail_after_saying(service: Service) -> None:
    with Transaction.begin(service.database, service.audit) as transaction:
        transaction.record(ForgetRetried("fr_1"))
        raise ZeroDivisionError


def test_nothing_is_said_of_what_did_not_happen(service: Service) -> None:
    with pytest.raises(ZeroDivisionError):
        fail_after_saying(service)
    assert said(service) == []


def test_it_begins_with_the_lock_which_shows_another_database(service: Service) -> None:
    service.database.timeline.join("of another database", 0)
    with pytest.raises(DatabaseRewound), Transaction.begin(service.database, service.audit):
        pytest.fail("the lock was not taken")
