"""Sessions in a real browser: what it sends, keeps and refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.browser.pages import Dashboard, new
from tests.browser.world import World


@contextmanager
def another_site(page: str) -> Iterator[str]:
    """A site at another port that answers everything with this page. To a browser it is the same site."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_R46_after_log_out_no_page_is_shown_even_by_going_back(dashboard: Dashboard) -> None:
    token = dashboard.driver.get_cookie("lethe_session")
    assert token is not None
    dashboard.button("Log out").click()
    dashboard.wait(lambda: dashboard.path() == "/login")
    dashboard.driver.back()
    dashboard.wait(lambda: dashboard.path().startswith("/login"))
    # Neither is the token worth anything to whoever has kept it.
    dashboard.driver.add_cookie({"name": "lethe_session", "value": token["value"], "path": "/"})
    dashboard.go("/dashboard/runs")
    assert dashboard.path().startswith("/login")


def test_R46_a_planted_session_is_not_taken_over(dashboard: Dashboard, world: World) -> None:
    planted = "P" * 43
    dashboard.driver.delete_all_cookies()
    dashboard.driver.add_cookie({"name": "lethe_session", "value": planted, "path": "/"})
    dashboard.log_in(world.key(new("another")))
    found = dashboard.driver.get_cookie("lethe_session")
    assert found is not None
    assert found["value"] != planted
    assert (found["httpOnly"], found["sameSite"]) == (True, "Strict")
    assert dashboard.run("return document.cookie") == ""


def test_R46_a_form_of_another_site_does_nothing(dashboard: Dashboard) -> None:
    form = f"<form method=post action='{dashboard.address}/dashboard/logout'></form>"
    with another_site(f"{form}<script>document.forms[0].submit()</script>") as evil:
        dashboard.driver.get(evil)
        dashboard.wait(lambda: "/dashboard/logout" in dashboard.driver.current_url)
    dashboard.wait(lambda: "Foreign form" in dashboard.text())
    dashboard.go("/")
    assert dashboard.text("h1") == "Forget requests"
    assert all("403" in line for line in dashboard.complaints())


def test_a_revoked_key_ends_the_session_in_an_open_page(dashboard: Dashboard, world: World) -> None:
    name = new("leaving")
    dashboard.driver.delete_all_cookies()
    dashboard.log_in(world.key(name))
    world.revoke(name)
    dashboard.wait(lambda: dashboard.connection() == "Session ended")
    assert dashboard.find("#connection a").text == "Log in again"
    assert all("401" in line for line in dashboard.complaints())


def test_without_a_session_the_wanted_page_comes_after_the_log_in(dashboard: Dashboard, world: World) -> None:
    dashboard.driver.delete_all_cookies()
    dashboard.go("/dashboard/versions")
    assert dashboard.path() == "/login?next=%2Fdashboard%2Fversions"
    dashboard.find("#key").send_keys("lethe_wrong\n")
    dashboard.wait(lambda: "not a valid key" in dashboard.text())
    dashboard.find("#key").send_keys(world.key(new("back")) + "\n")
    dashboard.wait(lambda: dashboard.path() == "/dashboard/versions")
    assert all("401" in line for line in dashboard.complaints())
