"""The day of an operator: what is due, what is stuck, what goes on, without a reload (section 4.15)."""

from __future__ import annotations

from contextlib import ExitStack

from selenium.webdriver import Chrome

from tests.browser.pages import Dashboard, new, visiting
from tests.browser.world import World
from unlearning import default_policy


def test_a_request_is_watched_until_it_is_completed_without_a_reload(fresh: World, driver: Chrome) -> None:
    with fresh.gateway() as address, visiting(driver, fresh, address) as page:
        page.mark_page()
        assert "Nothing is due" in page.text()
        request_id = fresh.accept("user-1")
        page.wait(lambda: page.rows() == [request_id])
        assert page.is_the_same_page()
        page.go(f"/dashboard/requests/{request_id}")
        page.mark_page()
        assert "queued" in page.text(".lead")
        fresh.work((default_policy().ladder[-1],))
        page.wait(lambda: "completed" in page.text(".lead"))
        assert "Chosen:" in page.text()
        assert page.all("svg.bullet")
        assert page.is_the_same_page()


def test_a_lost_connection_is_seen_and_found_again_after_a_restart(fresh: World, driver: Chrome) -> None:
    with ExitStack() as gateway:
        address = gateway.enter_context(fresh.gateway())
        with visiting(driver, fresh, address) as page:
            page.mark_page()
            page.wait(lambda: page.connection() == "Live")
            gateway.close()
            page.wait(lambda: page.connection() == "Connection lost")
            request_id = fresh.accept("user-1")
            gateway.enter_context(fresh.gateway(port=int(address.rpartition(":")[2])))
            page.wait(lambda: page.connection() == "Live")
            # The session is in the database, so it is as good as before.
            page.wait(lambda: page.rows() == [request_id])
            assert page.is_the_same_page()
            assert all("net::ERR" in line for line in page.complaints())


def test_filters_change_the_list_and_the_address_but_not_the_page(
    dashboard: Dashboard, made: dict[str, str]
) -> None:
    dashboard.mark_page()
    dashboard.find("#status option[value='needs_attention']").click()
    stuck = [made["overdue"], made["late_too"], made["at_risk"]]
    dashboard.wait(lambda: dashboard.rows() == stuck)
    dashboard.find("#due option[value='at_risk']").click()
    dashboard.wait(lambda: dashboard.rows() == stuck[2:])
    assert "status=needs_attention" in dashboard.path()
    assert "due=at_risk" in dashboard.path()
    assert dashboard.is_the_same_page()
    address = dashboard.path()
    dashboard.find(".counter.bad").click()
    dashboard.wait(lambda: dashboard.rows() == stuck[:2])
    dashboard.go(address)
    assert dashboard.rows() == stuck[2:]
    assert dashboard.find("#due").get_attribute("value") == "at_risk"


def test_news_keeps_what_has_been_ticked_and_opened(
    dashboard: Dashboard, world: World, made: dict[str, str]
) -> None:
    box = f"input[value='{made['overdue']}']"
    dashboard.find(box).click()
    request_id = world.accept(new("newcomer"))
    dashboard.wait(lambda: request_id in dashboard.rows())
    assert dashboard.find(box).is_selected()
    dashboard.go(f"/dashboard/requests/{made['erased']}")
    dashboard.find(".measures summary").click()
    before = dashboard.find(".measures details p").text
    assert before
    # The page asks for its content again, whatever the news is.
    dashboard.run(
        "document.addEventListener('htmx:afterSettle', () => { window.settled = true });"
        "document.body.dispatchEvent(new CustomEvent('lethe:changed'))"
    )
    dashboard.wait(lambda: dashboard.run("return window.settled"))
    assert dashboard.find(".measures details p").text == before


def test_many_are_retried_after_a_dry_run(dashboard: Dashboard, world: World) -> None:
    stuck = [world.accept(new("stuck"), reference="bulk-1") for _ in range(3)]
    world.give_up(*stuck)
    dashboard.go("/?reference=bulk-1")
    dashboard.button("Retry all that match…").click()
    dashboard.wait(lambda: dashboard.text("h1") == "Retry 3 requests?")
    assert "Nothing has been done yet" in dashboard.text()
    dashboard.find("#typed").send_keys("2")
    dashboard.button("Retry").click()
    dashboard.wait(lambda: "That was not the number" in dashboard.text())
    dashboard.find("#typed").send_keys("3")
    dashboard.button("Retry").click()
    dashboard.wait(lambda: dashboard.text("#total") == "3 of 3 done")
    # The rows have come one after the other, and the bar has counted them.
    assert dashboard.find("progress").get_attribute("value") == "3"
    dashboard.go("/?reference=bulk-1&status=queued")
    assert sorted(dashboard.rows()) == sorted(stuck)


def test_a_user_is_found_and_never_shown(dashboard: Dashboard, made: dict[str, str]) -> None:
    dashboard.find("#search").send_keys("user-3\n")
    dashboard.wait(lambda: dashboard.path() == f"/dashboard/requests/{made['overdue']}")
    assert "user-3" not in dashboard.driver.page_source
    dashboard.find("#search").send_keys("ticket-1041\n")
    dashboard.wait(lambda: dashboard.path() == f"/dashboard/requests/{made['erased']}")


def test_times_are_in_the_viewers_zone(dashboard: Dashboard, made: dict[str, str]) -> None:
    dashboard.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
    dashboard.go(f"/dashboard/requests/{made['erased']}")
    due = dashboard.find("time[datetime$='23:59:59+00:00']")
    assert "8:59" in due.text
    assert "23:59:59" in (due.get_attribute("title") or "")
    dashboard.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def test_asking_for_news_can_be_paused(dashboard: Dashboard, world: World) -> None:
    dashboard.wait(lambda: dashboard.connection() == "Live")
    dashboard.find("#pause").click()
    assert dashboard.connection() == "Paused"
    request_id = world.accept(new("unseen"))
    dashboard.find("#pause").click()
    dashboard.wait(lambda: request_id in dashboard.rows())
