"""Logging in to the dashboard: sessions, their ends, and what another site cannot do (R-46)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.api_keys import service as api_keys
from app.api_keys.service import Scope
from app.db.base import utc_now
from app.db.models import DashboardSession
from app.db.session import Database
from app.main import create_app
from app.settings import Settings
from tests.integration.http.conftest import issue_key

HTML = {"Accept": "text/html,application/xhtml+xml"}
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
FORM_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


@pytest.fixture
def browser(settings: Settings, installed: str) -> Iterator[TestClient]:
    """A gateway as a browser without credentials sees it."""
    with TestClient(create_app(settings), headers=HTML, follow_redirects=False) as opened:
        yield opened


@pytest.fixture
def key(database: Database) -> str:
    return issue_key(database, "olivia", *Scope)


def form_token(browser: TestClient, path: str) -> str:
    page = browser.get(path)
    assert page.status_code == 200, page.text
    found = FORM_TOKEN.search(page.text)
    assert found is not None
    return found[1]


def log_in(browser: TestClient, key: str, wanted: str = "") -> str:
    """Log in; the session's token."""
    form = {"form_token": form_token(browser, "/login"), "key": key, "next": wanted}
    answer = browser.post("/login", data=form)
    assert answer.status_code == 303, answer.text
    return browser.cookies["lethe_session"]


def age(database: Database, **by: timedelta) -> None:
    """What time would do to all sessions."""
    with database.unit_of_work() as session:
        for row in session.scalars(select(DashboardSession)):
            for column, much in by.items():
                setattr(row, column, getattr(row, column) - much)


def forget_what_is_remembered(browser: TestClient) -> None:
    browser.app.state.session_keeper._known.clear()  # type: ignore[attr-defined]


def test_R46_a_key_opens_a_session_and_log_out_ends_it(
    browser: TestClient, key: str, database: Database
) -> None:
    assert browser.get("/").headers["Location"] == "/login"
    token = log_in(browser, key)
    page = browser.get("/")
    assert page.status_code == 200
    assert "olivia" in page.text
    assert key not in page.text
    with database.read() as session:
        row = session.scalars(select(DashboardSession)).one()
    assert token not in (row.token_digest, row.key_digest)
    left = browser.post("/dashboard/logout", data={"form_token": form_token(browser, "/")})
    assert (left.status_code, left.headers["Location"]) == (303, "/login")
    # The token itself is worth nothing any more, even to whoever has copied it.
    browser.cookies.set("lethe_session", token)
    assert browser.get("/").status_code == 303
    with database.read() as session:
        assert session.scalars(select(DashboardSession)).all() == []


@ON_SQLITE
def test_callers_of_the_api_get_a_problem_and_no_page(browser: TestClient) -> None:
    answer = browser.get("/", headers={"Accept": "*/*"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    # A page that asks for news must not make the browser open a window of its own.
    news = browser.get("/dashboard/live", headers={"Lethe-Live": "1"})
    assert news.status_code == 401
    assert "WWW-Authenticate" not in news.headers


@ON_SQLITE
def test_the_cookie_is_for_the_server_and_for_this_site_alone(browser: TestClient, key: str) -> None:
    form = {"form_token": form_token(browser, "/login"), "key": key}
    cookie = next(
        value
        for value in browser.post("/login", data=form).headers.get_list("set-cookie")
        if value.startswith("lethe_session=")
    )
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    secure = TestClient(browser.app, base_url="https://lethe.example", headers=HTML, follow_redirects=False)
    form = {"form_token": form_token(secure, "/login"), "key": key}
    answer = secure.post("/login", data=form)
    assert all("Secure" in value for value in answer.headers.get_list("set-cookie"))


@ON_SQLITE
def test_the_api_does_not_take_the_cookie(browser: TestClient, key: str) -> None:
    """So no other site can make a browser call the API."""
    log_in(browser, key)
    for method, path in (("GET", "/runs"), ("POST", "/users/user-1/forget"), ("POST", "/consolidations")):
        assert browser.request(method, path).status_code == 401


def test_a_token_that_was_planted_is_not_used(browser: TestClient, key: str) -> None:
    planted = "A" * 43
    form = {"form_token": form_token(browser, "/login"), "key": key}
    browser.cookies.set("lethe_session", planted, domain="testserver.local", path="/")
    assert browser.get("/").status_code == 303
    assert browser.post("/login", data=form).status_code == 303
    assert browser.cookies["lethe_session"] != planted
    browser.cookies.set("lethe_session", planted, domain="testserver.local", path="/")
    assert browser.get("/").status_code == 303


def test_logging_in_again_ends_the_session_before(browser: TestClient, key: str) -> None:
    first = log_in(browser, key)
    second = log_in(browser, key)
    assert first != second
    browser.cookies.clear()
    browser.cookies.set("lethe_session", first)
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize(
    ("by", "status"),
    [
        ({"last_used_at": timedelta(minutes=29)}, 200),
        ({"last_used_at": timedelta(minutes=31)}, 303),
        ({"ends_at": timedelta(hours=11, minutes=59)}, 200),
        ({"ends_at": timedelta(hours=12, seconds=1)}, 303),
    ],
)
def test_a_session_ends_by_itself(
    browser: TestClient, key: str, database: Database, by: dict[str, timedelta], status: int
) -> None:
    log_in(browser, key)
    age(database, **by)
    forget_what_is_remembered(browser)
    assert browser.get("/").status_code == status


def test_only_a_person_keeps_a_session_alive(browser: TestClient, key: str, database: Database) -> None:
    log_in(browser, key)
    age(database, last_used_at=timedelta(minutes=20))

    def used_at() -> datetime:
        forget_what_is_remembered(browser)
        with database.read() as session:
            return session.scalars(select(DashboardSession.last_used_at)).one()

    before = used_at()
    assert browser.get("/dashboard/live", headers={"Lethe-Live": "1"}).status_code == 204
    assert browser.get("/", headers={"Lethe-Live": "1", "HX-Request": "true"}).status_code == 200
    assert used_at() == before
    assert browser.get("/").status_code == 200
    assert used_at() > before


def test_a_revoked_key_ends_its_sessions(browser: TestClient, key: str, database: Database) -> None:
    log_in(browser, key)
    with database.unit_of_work() as session:
        api_keys.revoke(session, name="olivia", now=utc_now())
    forget_what_is_remembered(browser)
    assert browser.get("/").status_code == 303


def test_a_session_is_good_at_every_gateway_and_after_a_restart(
    browser: TestClient, key: str, settings: Settings
) -> None:
    token = log_in(browser, key)
    with TestClient(create_app(settings), headers=HTML, follow_redirects=False) as another:
        another.cookies.set("lethe_session", token)
        assert another.get("/").status_code == 200


@ON_SQLITE
def test_no_form_of_another_site_or_session_gets_through(
    browser: TestClient, key: str, database: Database
) -> None:
    log_in(browser, key)
    for form, headers in (
        ({}, {}),
        ({"form_token": "0" * 64}, {}),
        ({"form_token": form_token(browser, "/")}, {"Sec-Fetch-Site": "cross-site"}),
        ({"form_token": form_token(browser, "/")}, {"Sec-Fetch-Site": "same-site"}),
    ):
        for path in ("/dashboard/logout", "/dashboard/consolidate", "/dashboard/requests/retry"):
            answer = browser.post(path, data=form or {"x": ""}, headers=headers)
            assert answer.status_code == 403, (path, form)
    assert browser.get("/").status_code == 200
    # A log-in that somebody else has prepared would put the viewer into that person's session.
    strangers = TestClient(browser.app, headers=HTML, follow_redirects=False)
    prepared = form_token(strangers, "/login")
    victims = TestClient(browser.app, headers=HTML, follow_redirects=False)
    victims.get("/login")
    assert victims.post("/login", data={"form_token": prepared, "key": key}).status_code == 403


@ON_SQLITE
def test_a_form_is_urlencoded_and_short(browser: TestClient, key: str) -> None:
    log_in(browser, key)
    token = form_token(browser, "/")
    assert browser.post("/dashboard/search", json={"form_token": token}).status_code == 415
    body = {"form_token": token, "name": "x" * 20_000}
    assert browser.post("/dashboard/search", data=body).status_code == 413


@ON_SQLITE
def test_failed_log_ins_are_limited_and_say_nothing_of_the_key(
    settings: Settings, installed: str, key: str
) -> None:
    few = settings.model_copy(update={"failed_logins": "3/minute"})
    with TestClient(create_app(few), headers=HTML, follow_redirects=False) as browser:
        form = {"form_token": form_token(browser, "/login"), "key": "lethe_" + "0" * 64}
        answers = [browser.post("/login", data=form) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
        assert int(answers[-1].headers["Retry-After"]) > 0
        assert all("0" * 64 not in answer.text for answer in answers)
        # Whoever has a valid key is not locked out by a neighbour behind the same address.
        assert browser.post("/login", data=form | {"key": key}).status_code == 303


@ON_SQLITE
@pytest.mark.parametrize(
    ("wanted", "location"),
    [
        ("/dashboard/runs?after=x", "/dashboard/runs?after=x"),
        ("/?due=overdue", "/?due=overdue"),
        ("//elsewhere.example/", "/"),
        ("https://elsewhere.example/", "/"),
        ("/\\elsewhere.example", "/"),
        ("/metrics", "/"),
    ],
)
def test_after_the_log_in_comes_the_page_that_was_wanted_if_it_is_ours(
    browser: TestClient, key: str, wanted: str, location: str
) -> None:
    form = {"form_token": form_token(browser, "/login"), "key": key, "next": wanted}
    assert browser.post("/login", data=form).headers["Location"] == location


@ON_SQLITE
def test_a_link_of_another_site_leads_to_the_page_and_not_to_the_log_in(
    browser: TestClient, key: str
) -> None:
    """The browser withholds a strict cookie there; from the page in between it sends it."""
    arrived = browser.get("/dashboard/runs", headers={"Sec-Fetch-Site": "cross-site"})
    assert arrived.status_code == 200
    assert 'data-go="/dashboard/runs"' in arrived.text
    assert browser.get("/dashboard/runs", headers={"Sec-Fetch-Site": "same-origin"}).headers["Location"] == (
        "/login?next=%2Fdashboard%2Fruns"
    )


@ON_SQLITE
def test_a_session_that_only_looks_has_no_scope_that_changes_anything(
    browser: TestClient, key: str, database: Database
) -> None:
    form = {"form_token": form_token(browser, "/login"), "key": key, "looks_only": "yes"}
    assert browser.post("/login", data=form).status_code == 303
    page = browser.get("/")
    assert ">Read only<" in page.text
    token = {"form_token": form_token(browser, "/"), "which": "all"}
    for path in (
        "/dashboard/requests/retry",
        "/dashboard/consolidate",
        f"/dashboard/versions/{'0' * 64}/rollback",
    ):
        refused = browser.post(path, data=token)
        assert (refused.status_code, "lacks the scope" in refused.text) == (403, True), path
    # It holds at every gateway, whatever the key may do.
    forget_what_is_remembered(browser)
    assert browser.post("/dashboard/consolidate", data=token).status_code == 403
