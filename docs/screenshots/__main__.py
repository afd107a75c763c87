"""Writes a picture of every page of the dashboard to docs/images: ``python -m docs.screenshots [FOLDER]``.

The service in the pictures is the demo of `lethe init`, with real runs on it. It is made in FOLDER (a temporary one
without it), which takes some minutes; a FOLDER that has been made is used again. Needs Chromium and its driver.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import timedelta
from pathlib import Path

from selenium.webdriver import Chrome

from app.codes import DetailCode
from app.db.base import utc_now
from app.db.models import ForgetRequest, RequestStatus
from app.db.session import Database, open_database
from app.settings import Settings
from benchmarks.service import chrome as browsers
from tests.browser.pages import Dashboard
from tests.browser.world import World
from unlearning import default_policy

IMAGES = Path(__file__).parents[1] / "images"
MOST_BYTES = 300_000
TALLEST = 1200
_PEOPLE = [f"user-{number:04}" for number in range(3, 40)]


def main() -> None:
    """Make the service and its past, and take the pictures."""
    lacking = browsers.missing()
    if lacking:
        sys.exit(lacking)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary).resolve()
        world = _service(folder)
        past = _give_a_past(world)
        with (
            world.gateway() as address,
            tempfile.TemporaryDirectory() as profile,
            browsers.chrome(Path(profile)) as driver,
        ):
            page = Dashboard(driver, address)
            page.go("/login")
            _shoot(page, "login")
            page.log_in(world.key(f"olivia-{uuid.uuid4().hex[:4]}"))
            page.go("/dashboard/evidence")
            page.button("Verify now").click()
            _shoot(page, "evidence")
            _give_figures(world)
            for name, path in past.items():
                page.go(path)
                _shoot(page, name)
            page.go("/")
            browsers.scheme(driver, dark=True)
            _shoot(page, "worklist-dark")
            browsers.scheme(driver, dark=False)
            page.size(*browsers.PHONE)
            page.go("/")
            _shoot(page, "worklist-phone")


def _service(folder: Path) -> World:
    folder.mkdir(parents=True, exist_ok=True)
    chosen = {
        "environment": "development",
        "database_url": f"sqlite:///{folder}/lethe.sqlite3",
        "store_url": str(folder / "store"),
        "broker_url": f"filesystem://{folder}/broker",
        "base": str(folder / "base"),
    }
    variables = os.environ | {f"LETHE_{name.upper()}": value for name, value in chosen.items()}
    for command in ("migrate", "init"):
        subprocess.run([sys.executable, "-m", "cli.main", command], env=variables, check=True)
    settings = Settings(_env_file=None, **chosen)  # type: ignore[arg-type]
    return World(settings, Database(open_database(settings.database_url)))


def _give_a_past(world: World) -> dict[str, str]:
    """Requests in every state. Returns the pages to show."""
    people = iter(_PEOPLE)
    erased = world.accept(next(people), reference="ticket-1041")
    world.accept(next(people), reference="ticket-1043")
    world.work(default_policy().ladder)
    late = [world.accept(next(people), days_ago=days, reference="ticket-0877") for days in (40, 33)]
    risky = world.accept(next(people), days_ago=27, reference="ticket-0912")
    world.give_up(*late)
    world.give_up(risky, code=DetailCode.CLAIMS_EXHAUSTED)
    taken = [
        world.accept(next(people), days_ago=days, reference=f"ticket-10{50 + place}")
        for place, days in enumerate((0.2, 0.1))
    ]
    run = world.begin_run(*taken, progress="refit: re-fit 212/600")
    for place in range(4):
        world.accept(next(people), days_ago=0.05 * (4 - place))
    return {
        "worklist": "/",
        "request": f"/dashboard/requests/{erased}",
        "runs": "/dashboard/runs",
        "run": f"/dashboard/runs/{run}",
        "versions": "/dashboard/versions",
        "health": "/dashboard/health",
    }


def _give_figures(world: World) -> None:
    """Requests of earlier days, for the chart. The log does not know them, so this comes after its verification."""
    with world.database.unit_of_work() as session:
        for place in range(70):
            received = utc_now() - timedelta(days=1 + place * 11 % 29, hours=place % 7)
            session.add(
                ForgetRequest(
                    id=f"fr_{uuid.uuid4().hex}",
                    subject_hmac=uuid.uuid4().hex * 2,
                    epoch=1_000_000 + place,
                    status=RequestStatus.COMPLETED,
                    outcome="erased",
                    requested_by="customer-service",
                    received_at=received,
                    due_at=received + timedelta(days=30),
                    completed_at=received + timedelta(minutes=2 + place % 9),
                )
            )


def _shoot(page: Dashboard, name: str) -> None:
    # The page writes its times, and asks for news for the first time.
    time.sleep(1)
    size = page.run("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": size[0], "height": min(size[1], TALLEST), "scale": 1}
    picture = _picture(page.driver, clip)
    if len(picture) > MOST_BYTES:
        sys.exit(f"{name} has {len(picture)} bytes; the documentation takes {MOST_BYTES}")
    (IMAGES / f"dashboard-{name}.png").write_bytes(picture)


def _picture(driver: Chrome, clip: dict[str, float]) -> bytes:
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    return base64.b64decode(taken["data"])


if __name__ == "__main__":
    main()
