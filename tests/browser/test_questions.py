"""What an operator finds out and does: the four questions, receipts, versions, views; and who may only look."""

from __future__ import annotations

import re

from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import Select

from app.api_keys.roles import SCOPES_OF, Role
from tests.browser.pages import Dashboard, new, visiting
from tests.browser.world import World


def test_the_four_questions_are_answered_within_two_clicks_each(
    driver: Chrome, world: World, address: str, made: dict[str, str]
) -> None:
    """From a key, in a browser opened at / without credentials."""
    page = Dashboard(driver, address)
    page.go("/login")
    driver.delete_all_cookies()
    page.complaints()
    page.go("/")
    assert page.path() == "/login"
    page.find("#key").send_keys(world.key(new("operator")))
    page.find("main form button").click()
    # What is due? No click: the first page has counters, and the one that is due first comes first.
    page.wait(lambda: page.rows()[:1] == [made["overdue"]])
    assert "Overdue" in page.text(".counters")
    # What is stuck? One click; each row says what for.
    page.find(".counters a[href*='needs_attention']").click()
    page.wait(lambda: page.rows() == [made["overdue"], made["late_too"], made["at_risk"]])
    assert "ladder exhausted" in page.text(f"#{made['overdue']}")
    # What did the model forget? Two clicks: the runs that are done, and one of them with its measures.
    page.driver.find_element("link text", "Runs").click()
    page.wait(lambda: page.text("h1") == "Runs")
    page.find(f"tbody th a[href$='{made['done']}']").click()
    page.wait(lambda: page.text("h1").startswith("Run ur_"))
    assert "Chosen:" in page.text()
    assert page.all("svg.bullet")
    # Is it safe to go on? One click: who serves what, the floor, what may not come back.
    page.driver.find_element("link text", "Versions").click()
    page.wait(lambda: page.text("h1") == "Versions")
    assert "current" in page.text("[aria-labelledby=replicas]")
    assert "nothing below may ever serve again" in page.text()
    assert page.complaints() == []


def test_receipts_are_verified_by_the_browser_or_by_the_gateway(
    dashboard: Dashboard, made: dict[str, str]
) -> None:
    dashboard.go(f"/dashboard/requests/{made['erased']}")
    for kind in ("acceptance", "completion"):
        dashboard.named(f"Verify the receipt of {kind}").click()
        dashboard.wait(lambda kind=kind: "The receipt holds" in dashboard.text(f"#verified-{kind}"))
        assert "Verified in this browser" in dashboard.text(f"#verified-{kind}")
    # News replaces the page's content, and not what was found out.
    dashboard.run("document.body.dispatchEvent(new CustomEvent('lethe:changed'))")
    dashboard.wait(lambda: "The receipt holds" in dashboard.text("#verified-completion"))
    # One letter of the receipt is another: the signature does not verify.
    dashboard.run(
        "const real = window.fetch; window.fetch = async (address, options) => {"
        " const answer = await real(address, options);"
        " if (!String(address).endsWith('.jwt')) return answer;"
        " const token = await answer.text(); const place = token.indexOf('.') + 40;"
        " const other = token[place] === 'A' ? 'B' : 'A';"
        " return new Response(token.slice(0, place) + other + token.slice(place + 1)); };"
    )
    dashboard.named("Verify the receipt of completion").click()
    dashboard.wait(lambda: "does not hold" in dashboard.text("#verified-completion"))
    # A browser without Ed25519 asks the gateway, and the page says so.
    dashboard.go(f"/dashboard/requests/{made['erased']}")
    dashboard.run("crypto.subtle.importKey = () => Promise.reject(new Error('unknown algorithm'))")
    dashboard.named("Verify the receipt of completion").click()
    dashboard.wait(lambda: dashboard.text("h1") == "Receipt of completion")
    assert "Verified by this gateway, not by your browser" in dashboard.text(".notice.good")


def test_a_rollback_is_refused_with_the_guards_reason(dashboard: Dashboard) -> None:
    dashboard.go("/dashboard/versions")
    button = dashboard.find("[aria-label^='Roll back to']")
    why = dashboard.find(f"#{button.get_attribute('aria-describedby')}").text
    assert why == "is refused: it is destroyed"
    button.click()
    dashboard.wait(lambda: dashboard.text("h1") == "Rollback refused")
    assert "There is no way back to this version: it is destroyed." in dashboard.text()
    assert all("409" in line for line in dashboard.complaints())


def test_more_filters_are_in_the_address_and_a_view_is_kept_under_a_name(
    dashboard: Dashboard, made: dict[str, str]
) -> None:
    dashboard.find(".more summary").click()
    Select(dashboard.find("#stage")).select_by_value("ladder")
    dashboard.wait(lambda: made["running"] in dashboard.rows() and made["overdue"] not in dashboard.rows())
    assert "stage=ladder" in dashboard.path()
    Select(dashboard.find("#regime")).select_by_value("ccpa")
    dashboard.wait(lambda: dashboard.rows() == [])
    dashboard.find(".clear").click()
    dashboard.wait(lambda: made["overdue"] in dashboard.rows())
    due = dashboard.find(f"#{made['overdue']} time").get_attribute("datetime") or ""
    dashboard.go(f"/?due_from={due[:10]}&due_until={due[:10]}")
    assert dashboard.rows() == [made["overdue"]]
    dashboard.find("#view-name").send_keys("late ones\n")
    dashboard.wait(lambda: [one.text for one in dashboard.all(".views li a")] == ["late ones"])
    dashboard.go("/")
    dashboard.find(".views li a").click()
    dashboard.wait(lambda: dashboard.rows() == [made["overdue"]])
    dashboard.named("Remove the view late ones").click()
    assert dashboard.all(".views li") == []


def test_a_run_shows_what_its_worker_measured_and_said(dashboard: Dashboard, made: dict[str, str]) -> None:
    dashboard.go(f"/dashboard/requests/{made['erased']}")
    dashboard.find("dd a[href*='/dashboard/runs/']").click()
    dashboard.wait(lambda: dashboard.text("h1").startswith("Run ur_"))
    measured = dashboard.text("[aria-labelledby=measured]")
    assert re.search(r"Loss of refit, re-fit: [0-9.]+ to [0-9.]+ at step", measured)
    assert re.search(r"Memory of the worker's process: [0-9.]+ GiB", measured)
    assert "attempt.judged" in dashboard.text("[aria-labelledby=log]")


def test_somebody_elses_list_is_shown_and_compared_and_the_persons_own_is_not(
    dashboard: Dashboard, made: dict[str, str]
) -> None:
    dashboard.go(f"/dashboard/requests/{made['queued']}")
    assert "labelled suppressed" in dashboard.text("[aria-labelledby=recommended]")
    dashboard.find("#neighbour").send_keys("user-0\n")
    dashboard.wait(lambda: dashboard.text("h1") == "Somebody else's recommendations")
    assert "Personalised by version" in dashboard.text()
    dashboard.find("#user").send_keys("user-0\n")
    dashboard.wait(lambda: bool(dashboard.all("#earlier")))
    assert "same place" in dashboard.text("[aria-labelledby=now]")
    # Somebody else's list is no list to compare with; and whoever is suppressed is not personalised for here either.
    dashboard.find("#user").send_keys("user-11\n")
    dashboard.wait(lambda: "Not personalised: suppressed" in dashboard.text())
    assert not dashboard.all("#earlier")
    assert "user-1" not in dashboard.driver.page_source


def test_a_session_that_only_looks_is_offered_nothing(
    driver: Chrome, world: World, address: str, made: dict[str, str]
) -> None:
    page = Dashboard(driver, address)
    page.go("/login")
    driver.delete_all_cookies()
    page.go("/login")
    page.find("#looks-only").click()
    page.find("#key").send_keys(world.key(new("wall")))
    page.find("main form button").click()
    page.wait(lambda: page.path() == "/")
    assert page.text(".who .chip") == "Read only"
    for path in ("/", f"/dashboard/requests/{made['overdue']}", "/dashboard/versions"):
        page.go(path)
        labels = {button.text for button in page.all("main button")} - {"", "Save", "Copy", "Verify", "×"}
        assert labels == set(), path


def test_each_role_sees_what_it_may(driver: Chrome, world: World, address: str, made: dict[str, str]) -> None:
    seen = {}
    for role in (Role.VIEWER, Role.OPERATOR, Role.AUDITOR, Role.SERVICE):
        with visiting(driver, world, address, *SCOPES_OF[role]) as page:
            page.go(f"/dashboard/requests/{made['overdue']}")
            menu = [link.text for link in page.all("nav[aria-label=Pages] a")]
            seen[role] = menu[-1], bool(page.all("[aria-describedby=does-retry]")), bool(page.all(".receipt"))
    assert seen == {
        Role.VIEWER: ("Health", False, False),
        Role.OPERATOR: ("Health", True, False),
        Role.AUDITOR: ("Evidence", False, True),
        Role.SERVICE: ("Worklist", False, True),
    }
