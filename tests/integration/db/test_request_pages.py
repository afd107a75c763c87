"""The worklist in pages: order, filters, cursors, and that PostgreSQL reads no more than a page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from app.db.models import ForgetRequest, RequestStatus
from app.db.session import Database
from app.forget_requests.listing import CURSOR, Cursor, Page, Wanted, page

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def add(session: Session, epoch: int, status: RequestStatus, due_in: int, **values: Any) -> None:
    session.add(
        ForgetRequest(
            id=f"fr_{epoch:032}",
            subject_hmac=f"{epoch:064}",
            epoch=epoch,
            status=status,
            requested_by="tests",
            received_at=NOW - 100 * HOUR + epoch * HOUR,
            due_at=NOW + due_in * HOUR,
            **values,
        )
    )


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.unit_of_work() as opened:
        add(opened, 1, RequestStatus.QUEUED, 5)
        add(opened, 2, RequestStatus.NEEDS_ATTENTION, -3, client_reference="zd-1")
        add(opened, 3, RequestStatus.QUEUED, 5)
        add(opened, 4, RequestStatus.UNLEARNING, 1)
        add(opened, 5, RequestStatus.COMPLETED, -8, completed_at=NOW - 9 * HOUR, client_reference="zd-1")
        add(opened, 6, RequestStatus.COMPLETED, -8, completed_at=NOW - 7 * HOUR)
        add(opened, 7, RequestStatus.COMPLETED, 9, completed_at=NOW - 7 * HOUR)
    with database.read() as opened:
        yield opened


def epochs(found: Page) -> list[int]:
    return [request.epoch for request in found.requests]


def listed(session: Session, **wanted: Any) -> list[int]:
    found = page(session, Wanted(**wanted), after=None, limit=50, now=NOW)
    assert found.next is None
    return epochs(found)


def test_unfinished_ones_come_first_and_then_the_nearest_deadline(session: Session) -> None:
    assert listed(session) == [2, 4, 1, 3, 5, 6, 7]


def test_filters_leave_out_what_is_not_wanted(session: Session) -> None:
    queued, done = RequestStatus.QUEUED, RequestStatus.COMPLETED
    assert listed(session, statuses=frozenset({queued})) == [1, 3]
    assert listed(session, statuses=frozenset({queued, done})) == [1, 3, 5, 6, 7]
    assert listed(session, overdue=True) == [2, 6]
    assert listed(session, overdue=False) == [4, 1, 3, 5, 7]
    assert listed(session, client_reference="zd-1") == [2, 5]
    assert listed(session, client_reference="zd-1", overdue=False) == [5]
    received_3, received_5 = NOW - 97 * HOUR, NOW - 95 * HOUR
    assert listed(session, received_from=received_3, received_before=received_5) == [4, 3]


@pytest.mark.parametrize("limit", range(1, 9))
def test_pages_follow_one_another_without_gap_or_repeat(session: Session, limit: int) -> None:
    seen: list[int] = []
    after = None
    while True:
        found = page(session, Wanted(), after=after, limit=limit, now=NOW)
        seen += epochs(found)
        if found.next is None:
            break
        assert len(found.requests) == limit
        after = Cursor.decoded(found.next.encoded())
    assert seen == [2, 4, 1, 3, 5, 6, 7]


def test_no_status_is_left_when_all_wanted_ones_are_behind_the_cursor(session: Session) -> None:
    wanted = Wanted(statuses=frozenset({RequestStatus.QUEUED}))
    assert page(session, wanted, after=Cursor(True, NOW, 5), limit=5, now=NOW) == ((), None)


@pytest.mark.parametrize(
    "cursor",
    [
        Cursor(True, NOW + timedelta(microseconds=1), 2**63 - 1),
        Cursor(False, datetime(1970, 1, 1, tzinfo=UTC), 0),
        Cursor(False, datetime(8814, 1, 1, tzinfo=UTC), 7),
    ],
)
def test_a_cursor_is_read_as_it_was_written(cursor: Cursor) -> None:
    assert re.match(CURSOR, cursor.encoded())
    assert Cursor.decoded(cursor.encoded()) == cursor


def test_whatever_looks_like_a_cursor_is_one() -> None:
    assert Cursor.decoded("1" + "2" + 14 * "f" + "7" + 15 * "f").due_at.year == 8820


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("deep", [False, True])
def test_ten_thousand_open_requests_are_read_one_page_at_a_time(database: Database, deep: bool) -> None:
    """PostgreSQL takes the rows of a page from the index, in order, and sorts no more than a page of each status."""
    limit = 50
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO forget_requests (id, subject_hmac, epoch, status, requested_by, received_at, due_at) "
                "SELECT 'fr_' || n, lpad(n::text, 64, '0'), n, "
                "CASE WHEN n <= 10000 THEN 'queued' ELSE 'completed' END, 'tests', :now, "
                "CAST(:now AS timestamptz) + n % 5000 * interval '1 minute' "
                "FROM generate_series(1, 20000) AS n"
            ),
            {"now": NOW},
        )
        connection.execute(text("ANALYZE forget_requests"))
    plans: list[dict[str, Any]] = []

    def explain(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.startswith("SELECT") and "FROM forget_requests" in statement:
            with database.engine.connect() as other:
                explained = other.exec_driver_sql(
                    f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {statement}", parameters
                ).scalar_one()
            plans.append((json.loads(explained) if isinstance(explained, str) else explained)[0]["Plan"])

    after = Cursor(False, NOW + 3000 * timedelta(minutes=1), 0) if deep else None
    with database.read() as session:
        event.listen(database.engine, "before_cursor_execute", explain)
        found = page(session, Wanted(), after=after, limit=limit, now=NOW)
        event.remove(database.engine, "before_cursor_execute", explain)
    assert len(found.requests) == limit
    order, rows = plans
    scans = [node for node in _nodes(order) if node.get("Relation Name") == "forget_requests"]
    assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan"}
    assert sum(node["Index Name"] == "ix_forget_requests_pages" for node in scans) == len(RequestStatus)
    scans += [node for node in _nodes(rows) if "Relation Name" in node]
    assert all(node["Node Type"] != "Seq Scan" for node in scans)
    assert all(node["Actual Rows"] <= limit + 1 and not node.get("Rows Removed by Filter") for node in scans)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)
