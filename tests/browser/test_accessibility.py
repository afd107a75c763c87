"""Every page by axe-core's rules of WCAG 2.2 A and AA, in light and in dark; on a phone; and by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Keys

from benchmarks.service.chrome import DESK, PHONE, scheme
from tests.browser.pages import Dashboard

AXE = Path(__file__).parent / "axe" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PAGES = ("login", "", "request", "stuck", "runs", "run", "done", "versions", "health", "evidence", "missing")


def path_of(page: str, made: dict[str, str]) -> str:
    return {
        "login": "/login",
        "": "/",
        "request": f"/dashboard/requests/{made['erased']}",
        "stuck": f"/dashboard/requests/{made['overdue']}",
        "run": f"/dashboard/runs/{made['run']}",
        "done": f"/dashboard/runs/{made['done']}",
        "missing": f"/dashboard/requests/fr_{'0' * 32}",
    }.get(page, f"/dashboard/{page}")


def findings(page: Dashboard) -> list[str]:
    """What axe-core finds. It is put in by the driver, past the page's own policy."""
    page.run(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = page.driver.execute_async_script(
        "axe.run({runOnly: arguments[0]}).then(arguments[1])", RULES
    )
    return [
        f"{violation['impact']}: {violation['id']}: {node['html'][:120]}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(dashboard: Dashboard, made: dict[str, str], dark: bool) -> None:
    scheme(dashboard.driver, dark=dark)
    found = {}
    for page in PAGES:
        dashboard.go(path_of(page, made))
        found[page] = findings(dashboard)
    scheme(dashboard.driver, dark=False)
    assert {page: some for page, some in found.items() if some} == {}
    assert all("404" in line for line in dashboard.complaints())


def test_nothing_is_wider_than_a_phone(dashboard: Dashboard, made: dict[str, str]) -> None:
    dashboard.size(*PHONE)
    widths = {}
    for page in PAGES:
        dashboard.go(path_of(page, made))
        widths[page] = dashboard.run("return document.documentElement.scrollWidth")
    dashboard.size(*DESK)
    assert widths == dict.fromkeys(PAGES, PHONE[0])
    assert all("404" in line for line in dashboard.complaints())


def test_the_keyboard_reaches_the_content_first_and_everything_after(dashboard: Dashboard) -> None:
    ActionChains(dashboard.driver).send_keys(Keys.TAB).perform()
    focused = dashboard.driver.switch_to.active_element
    assert focused.text == "Skip to the content"
    focused.send_keys(Keys.ENTER)
    assert dashboard.run("return document.activeElement.id") == "content"
    for _ in range(5):
        ActionChains(dashboard.driver).send_keys(Keys.TAB).perform()
        outline = dashboard.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
