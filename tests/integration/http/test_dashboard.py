"""The pages of the dashboard: who sees which, filters, search, paging, actions on many, news, evidence."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.api_keys.authentication import Caller
from app.api_keys.service import Scope
from app.db.base import utc_now
from app.db.models import ForgetRequest, RequestStatus, Run, RunStatus
from app.db.session import Database
from app.forget_requests import worklist
from app.forget_requests.service import Asked
from app.forget_requests.worklist import Due, Filter
from app.main import create_app
from app.settings import Settings
from tests.integration import tiny_model
from tests.integration.http.conftest import issue_key
from tests.integration.tiny_model import subject_of

HTML = {"Accept": "text/html"}
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PAGES = {
    "/": Scope.FORGET_READ,
    "/dashboard/runs": Scope.RUNS_READ,
    "/dashboard/versions": Scope.ADAPTERS_READ,
    "/dashboard/health": Scope.METRICS_READ,
    "/dashboard/evidence": Scope.AUDIT_READ,
}


@pytest.fixture
def browser(settings: Settings, database: Database, installed: str) -> Iterator[TestClient]:
    """A browser that has logged in with every scope."""
    with TestClient(create_app(settings), headers=HTML, follow_redirects=False) as opened:
        log_in(opened, issue_key(database, "olivia", *Scope))
        yield opened


def log_in(browser: TestClient, key: str) -> None:
    form = {"form_token": token_of(browser.get("/login").text), "key": key}
    assert browser.post("/login", data=form).status_code == 303


def token_of(page: str) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', page)
    assert found is not None
    return found[1]


def send(browser: TestClient, path: str, **fields: object) -> str:
    """Send a form of this session; the page or the address that answers it."""
    form = {"form_token": token_of(browser.get("/").text), **fields}
    answer = browser.post(path, data=form)
    return answer.headers["Location"] if answer.status_code == 303 else answer.text


def accept(
    database: Database, user: str, *, days_ago: float = 0.0, reference: str | None = None, stuck: bool = False
) -> str:
    now, asked = utc_now() - timedelta(days=days_ago), Asked(client_reference=reference)
    accepted = tiny_model.accept(database, user, now=now, asked=asked).request
    if stuck:
        with database.unit_of_work() as session:
            request = session.get_one(ForgetRequest, accepted.id)
            request.status, request.detail_code = RequestStatus.NEEDS_ATTENTION, "ladder_exhausted"
    return accepted.id


def listed(page: str) -> list[str]:
    """The ids of the rows, in order."""
    return re.findall(r'id="(fr_[0-9a-f]{32})"', page)


@ON_SQLITE
def test_R46_each_page_wants_its_scope_and_the_menu_shows_no_other(
    browser: TestClient, database: Database
) -> None:
    for path, scope in PAGES.items():
        assert browser.get(path).status_code == 200, path
        key = issue_key(database, f"without {scope}", *(set(Scope) - {scope}))
        without = TestClient(browser.app, headers=HTML, follow_redirects=False)
        log_in(without, key)
        refused = without.get(path)
        assert refused.status_code == 403
        assert f"lacks the scope {scope}" in refused.text
        shown = re.findall(r'<li><a href="([^"]+)"', refused.text)
        assert shown == [other for other in PAGES if other != path]
        assert without.get("/dashboard").headers["Location"] == shown[0]


@ON_SQLITE
def test_what_a_key_may_not_do_is_not_offered_and_not_done(browser: TestClient, database: Database) -> None:
    stuck = accept(database, "user-1", stuck=True)
    reader = TestClient(browser.app, headers=HTML, follow_redirects=False)
    log_in(reader, issue_key(database, "reader", Scope.FORGET_READ, Scope.ADAPTERS_READ))
    for path in ("/", f"/dashboard/requests/{stuck}", "/dashboard/versions"):
        page = reader.get(path).text
        assert "Retry" not in page
        assert ">Consolidate<" not in page
    form = {"form_token": token_of(reader.get("/").text), "which": "all"}
    for path in (
        f"/dashboard/requests/{stuck}/retry",
        "/dashboard/requests/retry",
        "/dashboard/consolidate",
    ):
        assert reader.post(path, data=form).status_code == 403, path


def test_the_worklist_is_ordered_filtered_and_paged(database: Database) -> None:
    late = accept(database, "user-1", days_ago=40, stuck=True)
    risky = accept(database, "user-2", days_ago=27, reference="ticket-7")
    fine = [accept(database, f"user-{number}") for number in range(3, 9)]
    with database.read() as session:
        now = utc_now()
        counts = worklist.counts(session, now)
        assert (counts.overdue, counts.at_risk, counts.on_track, counts.needs_attention) == (1, 1, 6, 1)
        for filter_, expected in (
            (Filter(), [late, risky, *fine]),
            (Filter(due=Due.OVERDUE), [late]),
            (Filter(due=Due.AT_RISK), [risky]),
            (Filter(due=Due.ON_TRACK), fine),
            (Filter(statuses=(RequestStatus.NEEDS_ATTENTION,)), [late]),
            (Filter(reason="ladder_exhausted"), [late]),
            (Filter(reference="ticket-"), [risky]),
            (Filter(subject="s_" + subject_of("user-3")[:12]), [fine[0]]),
            (Filter(statuses=(RequestStatus.COMPLETED,)), []),
        ):
            found = worklist.page(session, filter_, now, limit=100)
            assert [row.id for row in found] == expected, filter_
            assert worklist.matching(session, filter_, now) == len(expected)
        pages: list[str] = []
        place = None
        while rows := worklist.page(session, Filter(), now, limit=3, after=place):
            pages += [row.id for row in rows]
            place = rows[-1].due_at, rows[-1].epoch
        assert pages == [late, risky, *fine]


def test_what_is_done_is_listed_from_the_newest_on(database: Database) -> None:
    ids = [accept(database, f"user-{number}") for number in range(4)]
    with database.unit_of_work() as session:
        session.execute(update(ForgetRequest).values(status=RequestStatus.COMPLETED))
    done = Filter(statuses=(RequestStatus.COMPLETED,))
    with database.read() as session:
        first = worklist.page(session, done, utc_now(), limit=3)
        last = first[-1]
        rest = worklist.page(session, done, utc_now(), limit=3, after=(last.due_at, last.epoch))
        assert [row.id for row in (*first, *rest)] == ids[::-1]


@ON_SQLITE
def test_the_list_goes_on_on_the_next_page(browser: TestClient, database: Database) -> None:
    ids = [accept(database, f"person {number}") for number in range(55)]
    page = browser.get("/")
    assert listed(page.text) == ids[:50]
    further = re.search(r'<a href="([^"]+)" rel="next"', page.text)
    assert further is not None
    assert listed(browser.get(further[1].replace("&amp;", "&")).text) == ids[50:]
    assert listed(browser.get("/?after=nonsense").text) == ids[:50]


@ON_SQLITE
def test_a_filter_nobody_knows_is_a_page_that_says_so(browser: TestClient) -> None:
    for query in ("status=lost", "due=soon", "reason=<script>", "subject=user-1"):
        answer = browser.get(f"/?{query}")
        assert answer.status_code == 404
        assert "text/html" in answer.headers["Content-Type"]
        assert "<script>" not in answer.text.replace("<script src", "")
    assert browser.get("/?status=&due=&reason=").status_code == 200


def test_a_user_is_found_by_an_id_that_no_address_contains(browser: TestClient, database: Database) -> None:
    request_id = accept(database, "alice@example.com", reference="ticket-9")
    for name in ("alice@example.com", request_id, "ticket-9", "  ticket-9 "):
        assert send(browser, "/dashboard/search", name=name) == f"/dashboard/requests/{request_id}"
    page = send(browser, "/dashboard/search", name="bob@example.com")
    assert "No request has this id" in page
    assert "bob@example.com" not in page
    assert "alice" not in browser.get(f"/dashboard/requests/{request_id}").text
    another = accept(database, "carol", reference="ticket-9")
    both = send(browser, "/dashboard/search", name="ticket-9")
    assert both.startswith("/?reference=ticket-9&status=")
    assert sorted(listed(browser.get(both).text)) == sorted([request_id, another])


def test_many_are_retried_after_a_dry_run_and_a_number(browser: TestClient, database: Database) -> None:
    stuck = [accept(database, f"user-{number}", stuck=True) for number in range(3)]
    waiting = accept(database, "user-5")
    path = "/dashboard/requests/retry"

    def statuses() -> set[str]:
        with database.read() as session:
            return {session.get_one(ForgetRequest, one).status for one in stuck}

    plan = send(browser, path, which="all")
    assert "Retry 3 requests?" in plan
    assert "ladder exhausted" in plan
    refused = send(browser, path, which="all", typed="4")
    assert "That was not the number" in refused
    assert statuses() == {"needs_attention"}
    chosen = send(browser, path, which="selected", request=[stuck[0], waiting], typed="1")
    assert "1 of 1 done" in chosen
    done = send(browser, path, which="all", typed="2")
    assert "2 of 2 done" in done
    assert stuck[0] not in done
    assert statuses() == {"queued"}
    assert "0 requests?" in send(browser, path, which="all")


def test_a_request_is_retried_on_its_page_once(browser: TestClient, database: Database) -> None:
    stuck = accept(database, "user-1", stuck=True)
    page = f"/dashboard/requests/{stuck}"
    assert "Retry" in browser.get(page).text
    assert send(browser, f"{page}/retry") == page
    assert "Queued again by a person" in browser.get(page).text
    form = {"form_token": token_of(browser.get("/").text)}
    assert browser.post(f"{page}/retry", data=form).status_code == 409
    assert browser.post(f"{page}/forget", data=form).status_code == 404
    assert browser.get(f"/dashboard/requests/fr_{'0' * 32}").status_code == 404


@ON_SQLITE
def test_a_consolidation_is_queued_from_the_page(browser: TestClient) -> None:
    run = send(browser, "/dashboard/consolidate")
    assert run.startswith("/dashboard/runs/ur_")
    assert "consolidation (on demand)" in browser.get(run).text


@ON_SQLITE
def test_work_that_nobody_does_is_told(browser: TestClient, database: Database) -> None:
    accept(database, "user-1")
    assert 'class="banner' not in browser.get("/").text
    with database.unit_of_work() as session:
        session.execute(update(Run).values(created_at=utc_now() - timedelta(minutes=10)))
    assert "no worker has claimed it" in browser.get("/").text
    lease = {"status": RunStatus.RUNNING, "lease_until": utc_now() + timedelta(seconds=30)}
    with database.unit_of_work() as session:
        session.execute(update(Run).values(lease))
    assert 'class="banner' not in browser.get("/").text
    with database.unit_of_work() as session:
        session.execute(update(Run).values(lease_until=utc_now() - timedelta(minutes=2)))
    assert "has sent no heartbeat" in browser.get("/").text


def test_news_is_a_mark_that_changes_when_something_has(browser: TestClient, database: Database) -> None:
    pulse = browser.app.state.pulse  # type: ignore[attr-defined]

    def ask(mark: str) -> tuple[int, str, bytes]:
        pulse._made_at = float("-inf")
        answer = browser.get("/dashboard/live", headers={"Lethe-Live": "1", "If-None-Match": mark})
        return answer.status_code, answer.headers["ETag"], answer.content

    status, mark, content = ask("")
    assert (status, content) == (204, b"")
    # The clock alone changes the mark now and then, which a test may just meet.
    assert 304 in (ask(mark)[0], ask(ask(mark)[1])[0])
    accept(database, "user-1")
    assert ask(mark)[0] == 204
    part = browser.get("/", headers={"HX-Request": "true", "Lethe-Live": "1"})
    assert part.text.lstrip().startswith('<div id="live"')
    assert "<html" not in part.text


@ON_SQLITE
def test_many_pages_that_ask_at_once_cost_one_look(browser: TestClient) -> None:
    pulse = browser.app.state.pulse  # type: ignore[attr-defined]
    looks, read = [], pulse._database.read

    def counted() -> object:
        looks.append(1)
        return read()

    pulse._made_at = float("-inf")
    pulse._database = type("Counted", (), {"read": staticmethod(counted)})()
    for _ in range(20):
        pulse._made_at += 0.0 if pulse._made_at == float("-inf") else 3600.0
        assert browser.get("/dashboard/live").status_code in (204, 304)
    assert len(looks) == 1


def test_evidence_is_filtered_exported_and_verified(browser: TestClient, database: Database) -> None:
    request_id = accept(database, "user-1", reference="ticket-1")
    accept(database, "user-2")
    page = browser.get(f"/dashboard/evidence?about={request_id}").text
    assert re.findall(r"<code>([a-z]+\.[a-z_]+)</code>", page) == ["forget.accepted"]
    today = utc_now().date().isoformat()
    assert "forget.accepted" in browser.get(f"/dashboard/evidence?since={today}&until={today}").text
    assert "No entry matches" in browser.get("/dashboard/evidence?until=2020-01-01").text
    export = browser.get("/dashboard/evidence/export.csv?action=forget.accepted")
    assert "attachment" in export.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(export.text, newline="")))
    assert [row["action"] for row in rows] == ["forget.accepted"] * 2
    assert rows[0]["recorded_at"].endswith("+00:00")
    entries = browser.get("/dashboard/evidence/export.json").json()["entries"]
    assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[-1]["action"] == "audit.exported"
    assert (entries[-1]["actor"], entries[-1]["data"]["form"]) == ("olivia", "json")
    # A user's id would come into the address and into the log.
    assert browser.get("/dashboard/evidence?about=user-1").status_code == 404
    assert "Not verified" in browser.get("/dashboard/evidence").text
    assert send(browser, "/dashboard/evidence/verify") == "/dashboard/evidence#verification"
    assert "the log holds" in browser.get("/dashboard/evidence").text


@ON_SQLITE
def test_pages_run_no_code_but_our_own(browser: TestClient, database: Database) -> None:
    stuck = accept(database, "user-1", stuck=True, reference="a.b-c")
    for path in ("/login", *PAGES, f"/dashboard/requests/{stuck}"):
        page = browser.get(path)
        policy = page.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|<script>", page.text), path
        for link in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
            assert browser.get(link).status_code == 200, link


def test_R19_a_request_is_held_released_and_denied_by_two_on_its_page(
    browser: TestClient, database: Database
) -> None:
    page = f"/dashboard/requests/{accept(database, 'user-1')}"
    shown = browser.get(page).text
    for label in ("Hold", "Deny", "Cancel", "Expedite", "Extend"):
        assert f'<button type="submit">{label}</button>' in shown, label
    assert ">Retry<" not in shown
    assert "lacks a value" in send(browser, f"{page}/hold", reason="legal_claims")
    day = (utc_now() + timedelta(days=9)).date().isoformat()
    assert send(browser, f"{page}/hold", reason="legal_claims", review_at=day) == page
    held = browser.get(page).text
    assert "on hold" in held
    assert "Put on hold: legal_claims" in held
    assert send(browser, f"{page}/release") == page
    assert send(browser, f"{page}/deny", reason="no_match") == page
    assert "A second person must give the same reason" in browser.get(page).text
    assert "A second person must deny" in send(browser, f"{page}/deny", reason="no_match")
    second = TestClient(browser.app, headers=HTML, follow_redirects=False)
    log_in(second, issue_key(database, "second", *Scope))
    assert send(second, f"{page}/deny", reason="no_match") == page
    denied = second.get(page).text
    assert "Denied by two people: no_match" in denied
    assert "the suppression is lifted" in denied


def test_many_are_approved_at_once_but_not_ones_own(browser: TestClient, database: Database) -> None:
    ids = [accept(database, f"user-{number}") for number in range(2)]
    with database.unit_of_work() as session:
        session.execute(update(ForgetRequest).values(status=RequestStatus.PENDING_APPROVAL))
        session.get_one(ForgetRequest, ids[0]).requested_by = "olivia"
    done = send(browser, "/dashboard/requests/approve", which="all", typed="2")
    assert "1 of 2 done" in done
    assert "Somebody else than who sent the request must approve it" in done
    with database.read() as session:
        assert session.get_one(ForgetRequest, ids[1]).status != RequestStatus.PENDING_APPROVAL


@ON_SQLITE
def test_the_pages_are_not_for_end_users(browser: TestClient) -> None:
    """Their scopes hold for their own requests only."""
    stranger = TestClient(browser.app, follow_redirects=False)
    known = browser.app.state.authenticator  # type: ignore[attr-defined]

    async def identify(_key: str, _address: str = "") -> Caller:
        return Caller("somebody", frozenset(Scope), subject="a" * 64)

    known.identify = identify
    answer = stranger.get("/", headers={"Authorization": "Bearer token"})
    assert (answer.status_code, answer.json()["code"]) == (403, "missing-scope")
