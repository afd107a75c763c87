"""News for open pages: a stream that says that something has changed, over a real server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice

import httpx
import pytest
from fastapi.testclient import TestClient

import app.dashboard.live
from app.api_keys import service as api_keys
from app.api_keys.service import Scope
from app.connections import Connections
from app.dashboard.pulse import Listener, Pulse
from app.db.base import utc_now
from app.db.session import Database
from tests.integration.http.conftest import issue_key
from tests.integration.http.streams import messages_of
from tests.integration.http.test_dashboard import accept, log_in
from tests.served import served

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def server(client: TestClient) -> Iterator[str]:
    connections: Connections = client.app.state.connections  # type: ignore[attr-defined]
    with served(client.app, connections) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def pulse(client: TestClient) -> Pulse:
    return client.app.state.pulse  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def browser(client: TestClient, server: str, database: Database) -> Iterator[httpx.Client]:
    """A browser that has logged in."""
    opened = TestClient(client.app, headers={"Accept": "text/html"}, follow_redirects=False)
    log_in(opened, issue_key(database, "olivia", *Scope))
    cookies = {"lethe_session": opened.cookies["lethe_session"]}
    with httpx.Client(base_url=server, cookies=cookies, timeout=30, trust_env=False, verify=False) as found:
        yield found


def stream(browser: httpx.Client, **more: str) -> object:
    headers = {"Accept": "text/event-stream", **more}
    return browser.stream("GET", "/dashboard/live", headers=headers)


def test_a_stream_says_that_something_has_changed_and_goes_on_where_it_was(
    browser: httpx.Client, database: Database
) -> None:
    with stream(browser) as response:  # type: ignore[attr-defined]
        assert response.headers["content-type"].startswith("text/event-stream")
        news = messages_of(response.iter_lines())
        assert [next(news).type for _ in range(2)] == ["beat", "changed"]
        accept(database, "user-1")
        changed = next(message for message in news if message.type == "changed")
    # The same mark again is no news; another one is, at once.
    with stream(browser, **{"Last-Event-ID": str(changed.id)}) as response:  # type: ignore[attr-defined]
        news = messages_of(response.iter_lines())
        assert next(news).type == "beat"
        accept(database, "user-2")
        again = next(message for message in news if message.type == "changed")
    assert again.id != changed.id


def test_the_database_is_looked_at_once_for_all_pages(
    browser: httpx.Client, pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, enough = [], threading.Event()
    make = pulse._make

    def counted() -> str:
        looks.append(1)
        if len(looks) >= 3:
            enough.set()
        return make()

    monkeypatch.setattr(pulse, "_make", counted)
    with stream(browser) as one, stream(browser) as other:  # type: ignore[attr-defined]
        news = [messages_of(opened.iter_lines()) for opened in (one, other)]
        assert [next(each).type for each in news] == ["beat", "beat"]
        assert enough.wait(30)
        assert len(pulse._listeners) == 2
    # The thread looks, whoever listens: two pages make no more looks than one.
    assert len(looks) <= 5


def test_a_revoked_key_ends_the_stream(
    browser: httpx.Client, database: Database, monkeypatch: pytest.MonkeyPatch, client: TestClient
) -> None:
    monkeypatch.setattr(app.dashboard.live, "_SESSION_SECONDS", 0.1)
    monkeypatch.setattr(app.dashboard.live, "_BEAT_SECONDS", 0.05)
    with stream(browser) as response:  # type: ignore[attr-defined]
        news = messages_of(response.iter_lines())
        assert next(news).type == "beat"
        with database.unit_of_work() as session:
            api_keys.revoke(session, name="olivia", now=utc_now())
        client.app.state.session_keeper._known.clear()  # type: ignore[attr-defined]
        assert "ended" in [message.type for message in islice(news, 60)]


def test_pages_beyond_the_room_there_is_ask_instead(browser: httpx.Client, pulse: Pulse) -> None:
    pulse._most = 0
    refused = browser.get("/dashboard/live", headers={"Accept": "text/event-stream"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert browser.get("/dashboard/live", headers={"Lethe-Live": "1"}).status_code == 204


def test_a_stream_is_no_use_of_the_session(browser: httpx.Client, client: TestClient) -> None:
    keeper = client.app.state.session_keeper  # type: ignore[attr-defined]
    by_person: list[bool] = []
    find: Callable[..., object] = keeper.find

    async def watched(token: str, *, by_person: bool) -> object:
        seen.append(by_person)
        return await find(token, by_person=by_person)  # type: ignore[misc]

    seen = by_person
    keeper.find = watched
    with stream(browser) as response:  # type: ignore[attr-defined]
        next(messages_of(response.iter_lines()))
    assert by_person == [False]


class Page(Listener):
    """An open page, without an event loop, that counts how often it was told of news."""

    def __init__(self) -> None:
        self.told = threading.Semaphore(0)

    def put(self) -> None:
        self.told.release()


@pytest.fixture
def looking(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Pulse]]:
    """Starts a pulse that looks at the log alone, after its first look at everything."""
    started: list[Pulse] = []

    def start() -> Pulse:
        started.append(Pulse(database, timedelta(minutes=1), most=5))
        started[-1].start()
        return started[-1]

    monkeypatch.setattr("app.dashboard.pulse._LOOK_SECONDS", 3600.0)
    yield start
    for one in started:
        one.stop()


def test_what_is_in_the_log_is_noticed_without_a_look_at_the_rest(
    looking: Callable[[], Pulse], database: Database, installed: str
) -> None:
    pulse, page = looking(), Page()
    pulse.join(page)
    assert page.told.acquire(timeout=30)
    accept(database, "user-1")
    assert page.told.acquire(timeout=30)


def test_a_mark_that_a_page_load_has_made_is_news_to_the_pages_that_are_open(
    looking: Callable[[], Pulse], database: Database, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulse, page = looking(), Page()
    pulse.join(page)
    assert page.told.acquire(timeout=30)
    # The thread has stopped looking; whoever loads a page finds out, and no mark is recent.
    pulse.stop()
    monkeypatch.setattr("app.dashboard.pulse._HOLDS_SECONDS", 0.0)
    accept(database, "user-1")
    pulse.mark()
    assert page.told.acquire(timeout=0)
