"""What the dashboard costs and how fast it is: `lethe bench dashboard`.

A gateway of its own with 10,000 unfinished requests. A real Chromium opens the worklist with an empty cache, and sees
requests come. Then fifty pages are open, each a log-in of its own that follows the stream of news and fetches the
worklist when there is news, and the gateway's processor time is read; and callers ask for recommendations, in turn
without and with the open pages.
"""

from __future__ import annotations

import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.db.base import utc_now
from app.db.models import ForgetRequest
from app.db.session import Database, open_database
from app.settings import Settings
from benchmarks.bars import Reached, bars
from benchmarks.environment import environment
from benchmarks.service.errors import ServiceUnmeasurable
from benchmarks.service.gateway import Site, set_up
from benchmarks.service.installation import STATE, Service
from benchmarks.service.open_pages import open_pages
from benchmarks.service.timed import recommendations
from benchmarks.service.users import events_per_user, first_personalised, in_drawn_order

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

REQUESTS = 10_000
PAGES = 50
PAINTS = 10
EVENTS = 20
SECONDS = 30.0
PAIRS = 6
_PAIR_SECONDS = 10.0
_PER_SECOND = 20.0
_RECOMMENDED_USERS = 8
_SEEN_SECONDS = 20.0
_APART_SECONDS = 0.6
_PAINT = """
const done = arguments[0];
const wait = () => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  if (!paint || document.readyState !== "complete") return setTimeout(wait, 20);
  const loads = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  const bytes = loads.reduce((sum, load) => sum + (load.transferSize || 0), 0);
  done({ milliseconds: paint.startTime, bytes, page: loads[0].transferSize });
};
wait();
"""
_WATCH = """
const total = () => document.querySelector(".total").textContent;
const before = total();
window.seenAt = null;
new MutationObserver((_, observer) => {
  if (total() === before) return;
  window.seenAt = Date.now();
  observer.disconnect();
}).observe(document.getElementById("live").parentNode, { childList: true, characterData: true, subtree: true });
"""


def run(
    *,
    seed: int = 0,
    requests: int = REQUESTS,
    pages: int = PAGES,
    paints: int = PAINTS,
    events: int = EVENTS,
    seconds: float = SECONDS,
    pairs: int = PAIRS,
    home: Path | None = None,
) -> dict[str, Any]:
    """Measure one gateway; returns JSON values without user ids.

    Args:
        seed: draws the users.
        requests: unfinished requests in the worklist.
        pages: pages that are open at once.
        paints: how often the worklist is opened with an empty cache.
        events: how many requests are watched as they come.
        seconds: how long the processor time of an idle gateway is read, without and with the open pages.
        pairs: periods of recommendations without open pages, each followed by one with them.
        home: folder of an installation of the demo, whose base is used again.

    Raises:
        ServiceUnmeasurable: there is no Chromium, or the service did not start.
    """
    from benchmarks.service import chrome

    lacking = chrome.missing()
    if lacking:
        raise ServiceUnmeasurable(f"this benchmark {lacking}")
    header = environment(("app", "benchmarks", "cli", "model_store", "recommender", "unlearning", "worker"))
    header["threads"] = Settings.model_fields["torch_threads"].default
    drawn = in_drawn_order(events_per_user(None), seed)
    with bars() as bar, set_up(None, home=home) as site:
        move = bar("dashboard")
        _fill(site, requests)
        with site.running() as service, service.client() as client:
            users = first_personalised(service, client, drawn, _RECOMMENDED_USERS)
            others = [user for user in drawn if user not in users]
            key = (site.folder / STATE / "demo-key").read_text()
            with (
                tempfile.TemporaryDirectory() as profile,
                chrome.chrome(Path(profile)) as driver,
            ):
                _log_in(driver, service, key)
                painted = [_painted(driver, service) for _ in range(paints)]
                move(Reached(1, 4))
                seen = [_seen_after(driver, service, user) for user in others[:events]]
            move(Reached(2, 4))
            idle = _processor_share(service, seconds)
            with open_pages(service.url, key, pages) as opened:
                # The log-ins of the last pages are news to the first ones.
                opened.wait_until_quiet()
                before = opened.news
                beside = _processor_share(service, seconds)
                news = opened.news - before
            move(Reached(3, 4))
            halves = [_pair(service, key, users, pages) for _ in range(pairs)]
            service.check()
            move(Reached(4, 4))
    return {
        "benchmark": "dashboard",
        "environment": header,
        "seed": seed,
        "requests": requests,
        "pages": pages,
        "first_paint": {
            "milliseconds": [one["milliseconds"] for one in painted],
            "bytes": max(one["bytes"] for one in painted),
            "page_bytes": max(one["page"] for one in painted),
        },
        "event_seconds": seen,
        "idle": {
            "seconds": seconds,
            "processor_share_without": idle,
            "processor_share_with": beside,
            "news": news,
        },
        "recommendations": {"per_second": _PER_SECOND, "pair_seconds": _PAIR_SECONDS, "pairs": halves},
    }


def _fill(site: Site, requests: int) -> None:
    """Queued requests with deadlines in the past and in the future, and nobody behind them."""
    database = Database(open_database(site.settings["LETHE_DATABASE_URL"]))
    now = utc_now()
    try:
        for begin in range(0, requests, 1000):
            with database.unit_of_work() as session:
                session.add_all(_request(number, now) for number in range(begin, min(begin + 1000, requests)))
    finally:
        database.dispose()


def _request(number: int, now: Any) -> ForgetRequest:
    received = now - timedelta(days=number % 33, minutes=number % 1440)
    return ForgetRequest(
        id=f"fr_{number:032x}",
        subject_hmac=f"{number:064x}",
        # Above all that the service gives out meanwhile.
        epoch=10**9 + number,
        client_reference=f"ticket-{number}",
        requested_by="bench",
        received_at=received,
        # The end of a day, as the rules have it.
        due_at=(received + timedelta(days=30)).replace(hour=23, minute=59, second=59, microsecond=0),
    )


def _log_in(driver: Chrome, service: Service, key: str) -> None:
    driver.get(f"{service.url}/login")
    driver.find_element("id", "key").send_keys(key + "\n")
    deadline = time.monotonic() + _SEEN_SECONDS
    while driver.current_url.endswith("/login"):
        if time.monotonic() > deadline:
            raise ServiceUnmeasurable("the log-in was refused")
        time.sleep(0.05)


def _painted(driver: Chrome, service: Service) -> dict[str, float]:
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    driver.get(f"{service.url}/")
    found: dict[str, float] = driver.execute_async_script(_PAINT)
    return found


def _seen_after(driver: Chrome, service: Service, user: str) -> float:
    """Seconds from the answer to a forget request, which follows its commit, until the page shows it."""
    # Alone, and not together with the one before.
    time.sleep(_APART_SECONDS)
    driver.execute_script(_WATCH)
    with service.client() as client:
        client.post(f"/users/{user}/forget").raise_for_status()
    committed, deadline = time.time(), time.monotonic() + _SEEN_SECONDS
    while True:
        seen = driver.execute_script("return window.seenAt")
        if seen is not None:
            return max(0.0, float(seen) / 1000 - committed)
        if time.monotonic() > deadline:
            raise ServiceUnmeasurable(f"the page did not show a request within {_SEEN_SECONDS:g} seconds")
        time.sleep(0.05)


def _processor_share(service: Service, seconds: float) -> float:
    """The gateway's processor time in this time, as a share of one core."""
    before, started = _processor_seconds(service.pid), time.monotonic()
    time.sleep(seconds)
    return (_processor_seconds(service.pid) - before) / (time.monotonic() - started)


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError as error:
        raise ServiceUnmeasurable("this system does not tell a process's time (/proc)") from error
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pair(service: Service, key: str, users: list[str], pages: int) -> dict[str, Any]:
    """Recommendations without open pages, and right after that with them."""
    with recommendations(users, _PER_SECOND, service) as without:
        time.sleep(_PAIR_SECONDS)
    with open_pages(service.url, key, pages), recommendations(users, _PER_SECOND, service) as beside:
        time.sleep(_PAIR_SECONDS)
    return {"without": without.summary(), "with": beside.summary()}
