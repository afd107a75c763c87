"""What tests do on a page."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from app.api_keys.service import Scope
from benchmarks.service.chrome import PHONE
from tests.browser.world import World

SECONDS = 30.0


class Dashboard:
    """The dashboard of the gateway at this address, in this browser."""

    def __init__(self, driver: Chrome, address: str) -> None:
        self.driver = driver
        self.address = address

    def go(self, path: str) -> None:
        self.driver.get(self.address + path)

    def log_in(self, key: str) -> None:
        self.go("/login")
        self.find("#key").send_keys(key)
        self.find("main form button").click()
        self.wait(lambda: self.path() != "/login")

    def path(self) -> str:
        return self.driver.current_url.removeprefix(self.address)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str = "main") -> str:
        return self.find(selector).text

    def button(self, label: str) -> WebElement:
        return self.driver.find_element(By.XPATH, f"//button[normalize-space()='{label}']")

    def rows(self) -> list[str]:
        """The ids of the requests in the worklist."""
        return [row.get_attribute("id") or "" for row in self.all("tbody tr[id]")]

    def connection(self) -> str:
        return self.text("#connection-state")

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def wait(self, condition: Callable[[], object], seconds: float = SECONDS) -> None:
        """Until the condition holds. What a condition looks for may not be there yet, or be replaced meanwhile."""
        ignored = (NoSuchElementException, StaleElementReferenceException)
        WebDriverWait(self.driver, seconds, 0.1, ignored).until(lambda _: condition())

    def named(self, label: str) -> WebElement:
        """The control that assistive technology calls so."""
        return self.find(f"[aria-label='{label}']")

    def mark_page(self) -> None:
        """A mark that a reload would take away."""
        self.run("window.mark = 'not reloaded'")

    def is_the_same_page(self) -> bool:
        return bool(self.run("return window.mark === 'not reloaded'"))

    def size(self, width: int, height: int) -> None:
        """What the page sees of the screen."""
        metrics = {
            "width": width,
            "height": height,
            "deviceScaleFactor": 1,
            "mobile": (width, height) == PHONE,
        }
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def complaints(self) -> list[str]:
        """What the browser has complained of since the last question: errors of scripts, refusals of the policy."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


def new(name: str) -> str:
    """A name that nobody has had yet, like that of a key or of a user."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


@contextmanager
def visiting(driver: Chrome, world: World, address: str, *scopes: Scope) -> Iterator[Dashboard]:
    """The worklist, after a log-in with these scopes or every one. Whatever the browser complains of fails the test."""
    shown = Dashboard(driver, address)
    shown.go("/login")
    driver.delete_all_cookies()
    shown.complaints()
    shown.log_in(world.key(new("olivia"), *scopes))
    yield shown
    assert shown.complaints() == []
