"""A headless Chromium of this machine, driven over WebDriver."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

PHONE = (390, 844)
DESK = (1280, 900)


def missing() -> str | None:
    """What is not here of a browser and its driver; None if both are."""
    lacking = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return (
        f"needs {' and '.join(lacking)} (Debian: apt-get install chromium chromium-driver)"
        if lacking
        else None
    )


@contextmanager
def chrome(profile: Path, *, size: tuple[int, int] = DESK, dark: bool = False) -> Iterator[Chrome]:
    """A browser that has never been used, with a profile of its own; it asks nobody but the tests' own server."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new",
        f"--user-data-dir={profile}",
        f"--window-size={size[0]},{size[1]}",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--no-proxy-server",
        "--hide-scrollbars",
        "--force-prefers-reduced-motion",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    try:
        # A window cannot be narrower than its frame allows, but what the page sees can.
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE},
        )
        scheme(driver, dark=dark)
        yield driver
    finally:
        driver.quit()


def scheme(driver: Chrome, *, dark: bool) -> None:
    """Let the viewer prefer dark or light colours."""
    value = "dark" if dark else "light"
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": value}]}
    )
