"""Every example in the client's docstrings, run against a gateway behind a real server."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from lethe_client import Client
from tests.integration.http.conftest import gateway_of, install_on_sqlite
from tests.served import served


@pytest.fixture(scope="module")
def client(
    migrated_file: Path, base_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    settings, key = install_on_sqlite(migrated_file, base_folder, tmp_path_factory.mktemp("client"))
    application = create_app(settings)
    with (
        TestClient(application) as lifespan,
        served(application, application.state.connections) as port,
        Client(f"http://127.0.0.1:{port}", key, retries=0) as opened,
    ):
        assert gateway_of(lifespan).engine.wait_for_version(30)
        opened.forget("user-0")
        yield opened


EXAMPLES = {
    name: test
    for name, method in inspect.getmembers(Client, inspect.isfunction)
    for test in doctest.DocTestFinder(recurse=False).find(method, name, module=False, globs={})
    if test.examples
}


def test_most_methods_show_how_they_are_used() -> None:
    methods = [name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")]
    assert len(EXAMPLES) > len(methods) / 2


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_does_what_it_shows(name: str, client: Client) -> None:
    example = EXAMPLES[name]
    example.globs = {"client": client}
    told: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=told.append)
    assert result.failed == 0, "".join(told)
    assert result.attempted
