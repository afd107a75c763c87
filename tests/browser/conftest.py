"""One browser and one service with a past for all tests here; each test logs in anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from benchmarks.service import chrome as browsers
from tests.browser.pages import Dashboard, visiting
from tests.browser.world import World, build_world, give_a_past


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    lacking = browsers.missing()
    if lacking:
        pytest.skip(lacking)
    with browsers.chrome(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, driver: Chrome) -> World:
    """With requests in every state. Tests that change more than a few of them take `fresh`."""
    return build_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def made(world: World) -> dict[str, str]:
    return give_a_past(world)


@pytest.fixture(scope="module")
def address(world: World, made: dict[str, str]) -> Iterator[str]:
    with world.gateway() as url:
        yield url


@pytest.fixture
def dashboard(driver: Chrome, world: World, address: str) -> Iterator[Dashboard]:
    """Logged in with every scope."""
    with visiting(driver, world, address) as shown:
        yield shown


@pytest.fixture
def fresh(tmp_path: Path, driver: Chrome) -> World:
    """A service in which nobody has asked for anything yet."""
    return build_world(tmp_path)
