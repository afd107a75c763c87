"""What the dashboard shows of recommendations: nothing personal of whoever is suppressed, and no item taken down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from tests.integration.http.conftest import gateway_of, install_on_sqlite
from tests.integration.http.test_dashboard import HTML, log_in, send


@pytest.fixture(scope="module")
def key_and_browser(
    migrated_file: Path, base_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, str], TestClient]]:
    settings, key = install_on_sqlite(migrated_file, base_folder, tmp_path_factory.mktemp("neighbour"))
    with TestClient(create_app(settings), headers=HTML, follow_redirects=False) as browser:
        assert gateway_of(browser).engine.wait_for_version(30)
        log_in(browser, key)
        yield {"Authorization": f"Bearer {key}", "Accept": "application/json"}, browser


def ask(browser: TestClient, request: str, user: str, page: str = "") -> str:
    """The page about a user; ``page`` is the one whose form is sent, with its list."""
    hidden = dict(re.findall(r'name="(of|before_version)" value="([^"]*)"', page))
    before = re.findall(r'name="before" value="([^"]*)"', page)
    return send(browser, f"/dashboard/requests/{request}/neighbour", user=user, before=before, **hidden)


def forget(browser: TestClient, headers: dict[str, str], user: str) -> str:
    answer = browser.post("/forget-requests", json={"user_id": user}, headers=headers)
    assert answer.status_code == 202, answer.text
    request_id: str = answer.json()["id"]
    return request_id


def earlier(page: str) -> list[str]:
    """The titles of the earlier list."""
    section = re.search(r'aria-labelledby="earlier".*?</section>', page, re.DOTALL)
    return [] if section is None else re.findall(r"<li>([^<]*)</li>", section[0])


def test_an_earlier_list_names_no_item_that_was_taken_down_since(
    key_and_browser: tuple[dict[str, str], TestClient],
) -> None:
    headers, browser = key_and_browser
    request = forget(browser, headers, "user-1")
    page = ask(browser, request, "user-2")
    again = ask(browser, request, "user-2", page)
    first, *others = earlier(again)
    assert "same place" in again
    taken = re.findall(r'name="before" value="([^"]*)"', page)[0]
    assert browser.post(f"/items/{taken}/forget", headers=headers).status_code == 202
    after = ask(browser, request, "user-2", page)
    assert earlier(after) == others
    assert first not in re.findall(r"<li>([^<]*)", after)


def test_i2_the_earlier_list_of_whoever_is_suppressed_since_is_not_shown(
    key_and_browser: tuple[dict[str, str], TestClient],
) -> None:
    headers, browser = key_and_browser
    request = forget(browser, headers, "user-1")
    page = ask(browser, request, "user-3")
    assert earlier(ask(browser, request, "user-3", page))
    forget(browser, headers, "user-3")
    after = ask(browser, request, "user-3", page)
    assert "Not personalised" in after
    assert earlier(after) == []


def test_the_reason_is_the_one_that_holds(
    key_and_browser: tuple[dict[str, str], TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, browser = key_and_browser
    address = f"/dashboard/requests/{forget(browser, headers, 'user-4')}"
    assert "labelled suppressed" in browser.get(address).text
    # As for somebody who is not suppressed any more, when the lease has lapsed.
    monkeypatch.setattr(gateway_of(browser).engine._suppression, "obstacle", lambda *_: "stale_feed")
    page = browser.get(address).text
    assert "labelled stale_feed" in page
    assert "labelled suppressed" not in page
