from __future__ import annotations

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError

from app.audit.log import AuditLog
from app.db.models import AuditEntry
from tests.integration.db.conftest import Service


def first_broken(service: Service, audit: AuditLog) -> int | None:
    with service.database.read() as session:
        return audit.first_broken(session)


def tamper(service: Service, *statements: str) -> None:
    """What somebody with the database's superuser could do: take the triggers away first."""
    with service.database.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
        else:
            for event in ("update", "delete"):
                connection.execute(text(f"DROP TRIGGER audit_entries_refuse_{event}"))
        for statement in statements:
            connection.execute(text(statement))


@pytest.mark.parametrize("change", [update(AuditEntry).values(action="nothing.happened"), delete(AuditEntry)])
def test_the_database_refuses_to_change_an_entry(service: Service, change: object) -> None:
    service.accept("a")
    with pytest.raises(DBAPIError, match="append-only"), service.database.unit_of_work() as session:
        session.execute(change)  # type: ignore[call-overload]


def test_an_untouched_chain_holds(service: Service, audit: AuditLog) -> None:
    for subject in "abc":
        service.accept(subject)
    assert first_broken(service, audit) is None


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit_entries SET actor = 'nobody' WHERE sequence = 2", 2),
        ("UPDATE audit_entries SET data = '{}' WHERE sequence = 2", 2),
        ("UPDATE audit_entries SET recorded_at = '2020-01-01 00:00:00' WHERE sequence = 1", 1),
        ("DELETE FROM audit_entries WHERE sequence = 2", 2),
        ("DELETE FROM audit_entries WHERE sequence = 3", 3),
        ("UPDATE audit_entries SET sequence = 9 WHERE sequence = 3", 3),
    ],
)
def test_tampering_is_found_where_it_happened(
    service: Service, audit: AuditLog, statement: str, broken: int
) -> None:
    for subject in "abc":
        service.accept(subject)
    tamper(service, statement)
    assert first_broken(service, audit) == broken


def test_a_cut_tail_is_found_even_if_the_head_is_set_back(service: Service, audit: AuditLog) -> None:
    for subject in "abc":
        service.accept(subject)
    tamper(
        service,
        "UPDATE ledger SET audit_sequence = 2, audit_head = (SELECT mac FROM audit_entries WHERE sequence = 2)",
        "DELETE FROM audit_entries WHERE sequence = 3",
    )
    assert first_broken(service, audit) == 3


def test_nobody_without_the_key_can_forge_a_chain(service: Service) -> None:
    service.accept("a")
    assert first_broken(service, AuditLog(b"another key")) == 1
