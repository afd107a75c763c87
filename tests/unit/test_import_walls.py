"""The rooms' walls: import-linter's contracts, the third-party packages each room may name, and a bare machine."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

REPOSITORY = Path(__file__).parents[2]
ROOMS = (
    "app",
    "benchmarks",
    "cli",
    "inputs",
    "migrations",
    "model_store",
    "recommender",
    "unlearning",
    "worker",
)

LEARNING = {"huggingface_hub", "numpy", "peft", "safetensors", "tokenizers", "torch", "transformers"}
COLUMNAR = {"pyarrow"}
DATABASE = {"alembic", "psycopg", "sqlalchemy"}
SETTINGS = {"pydantic", "pydantic_settings", "structlog"}
WEB = {
    "anyio",
    "fastapi",
    "h11",
    "httpx",
    "jinja2",
    "jwt",
    "limits",
    "prometheus_client",
    "starlette",
    "uvicorn",
}
WEBHOOKS = {"httpcore", "idna", "standardwebhooks"}
QUEUE = {"celery", "kombu"}
TERMINAL = {"rich", "typer"}
SIGNING = {"cryptography", "jwt"}

# The most specific prefix counts. What is not listed here may not be imported there, directly.
THIRD_PARTY = {
    "inputs": set(),
    "recommender": LEARNING | COLUMNAR,
    "unlearning": LEARNING,
    "model_store": {"obstore", "safetensors"},
    "app": DATABASE | SETTINGS | WEB | QUEUE,
    # Its zones are files of the package tzdata.
    "app.clock": set(),
    # It counts requests in Redis, for all gateways together.
    "app.api_keys": DATABASE | SETTINGS | WEB | {"redis"},
    "app.db": DATABASE | SETTINGS,
    # It alone signs and verifies. Settings and HTTP have files of their own there.
    "app.signing": {"pydantic", "fastapi"} | SIGNING,
    # The certificate of OpenDSR is another key than that of receipts.
    "app.opendsr": DATABASE | SETTINGS | WEB | {"cryptography"},
    # It signs with keys of the endpoints, not with that of receipts.
    "app.webhooks": DATABASE | SETTINGS | WEB | WEBHOOKS | {"cryptography"},
    # Answers are written by what pydantic writes JSON with.
    "app.recommendations": DATABASE | SETTINGS | WEB | {"pydantic_core"},
    "app.serving": SETTINGS | {"prometheus_client"},
    "app.serving.transformers_ranker": LEARNING,
    "app.serving.vllm_ranker": SETTINGS | LEARNING | {"httpx"},
    "worker": DATABASE | SETTINGS | QUEUE | LEARNING | {"billiard"},
    "migrations": DATABASE,
    "cli": DATABASE | SETTINGS | WEB | QUEUE | LEARNING | TERMINAL,
    "benchmarks": DATABASE | SETTINGS | WEB | LEARNING | COLUMNAR | TERMINAL,
    # It forks what it attacks, and brings a broker of its own.
    "benchmarks.chaos": DATABASE | SETTINGS | WEB | QUEUE | {"redis"} | LEARNING | TERMINAL,
    # It looks at pages in a browser.
    "benchmarks.dashboard": DATABASE | SETTINGS | WEB | LEARNING | TERMINAL | {"selenium"},
    "benchmarks.service.chrome": {"selenium"},
    # A store in a bucket, and the server that it may lie on.
    "benchmarks.service.own_store": WEB | {"obstore"},
    "benchmarks.service.moto_server": {"moto", "werkzeug"},
    # What it is compared with.
    "benchmarks.serve.peers.litserve_server": WEB | LEARNING | {"litserve"},
    "benchmarks.serve.peers.mosec_server": LEARNING | {"mosec"},
    "benchmarks.serve.peers.bentoml_server": {"bentoml"},
    "benchmarks.report": {"matplotlib"},
    "benchmarks.study": LEARNING | {"scipy"},
}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*ROOMS, include_external_packages=True, cache_dir=None)


def test_every_contract_is_kept(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.syspath_prepend(str(REPOSITORY))
    assert lint_imports(no_cache=True, no_logo=True) == 0, capsys.readouterr().out


def test_every_room_stands_behind_some_contract() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    # A contract of the type "protected" says who may import a part of a room, and nothing about the room.
    contracts = [contract for contract in contracts if contract["type"] == "forbidden"]
    sources = {module.split(".")[0] for contract in contracts for module in contract["source_modules"]}
    # The commands compose everything and may import everything; nobody may import them.
    assert sources == set(ROOMS) - {"cli"}
    kept_from_commands = {
        module.split(".")[0]
        for contract in contracts
        if "cli" in contract["forbidden_modules"]
        for module in contract["source_modules"]
    }
    assert kept_from_commands == set(ROOMS) - {"cli"}


def test_each_room_names_only_the_packages_it_may(graph: grimp.ImportGraph) -> None:
    ours = {module for module in graph.modules if module.split(".")[0] in ROOMS}
    breaches = []
    for module in sorted(ours):
        allowed = THIRD_PARTY[max((prefix for prefix in THIRD_PARTY if _under(module, prefix)), key=len)]
        for imported in graph.find_modules_directly_imported_by(module):
            top = imported.split(".")[0]
            if top not in ROOMS and top not in sys.stdlib_module_names and top not in allowed:
                breaches.append(f"{module} imports {imported}")
    assert breaches == []


def test_the_command_line_is_imported_by_nobody(graph: grimp.ImportGraph) -> None:
    importers = {
        importer
        for module in graph.modules
        if _under(module, "cli")
        for importer in graph.find_modules_that_directly_import(module)
        if not _under(importer, "cli")
    }
    assert importers == set()


def test_all_modules_are_seen_by_the_graph(graph: grimp.ImportGraph) -> None:
    """A folder without __init__.py would escape every check above."""
    files = {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        for room in ROOMS
        for path in (REPOSITORY / room).rglob("*.py")
        if re.match(r"[a-z_]", path.name)
    }
    assert {name.removesuffix(".__init__") for name in files} <= graph.modules


def _under(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


BARE_MACHINE = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"{{name}} is not installed here", name=name)

sys.meta_path.insert(0, Absent())
for room in {rooms}:
    package = importlib.import_module(room)
    for found in pkgutil.walk_packages(package.__path__, room + "."):
        importlib.import_module(found.name)
    print(room, len(package.__all__))
"""


def bare_import(rooms: tuple[str, ...], blocked: set[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BARE_MACHINE.format(rooms=rooms, blocked=blocked)],
        cwd=REPOSITORY,
        # A process that measures coverage imports more than it was told to.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_learning_half_runs_without_the_service_half() -> None:
    """Every module of both packages, with nothing installed that a bare GPU machine would lack.

    Not blocked are pydantic, which a dependency of ours may import where it happens to be installed, and rich, which
    transformers brings along; that neither is named by us, the test above sees.
    """
    blocked = {
        "alembic", "app", "celery", "cli", "fastapi", "httpx", "kombu", "model_store", "psycopg",
        "pydantic_settings", "redis", "sqlalchemy", "starlette", "structlog", "typer", "uvicorn", "worker",
    }  # fmt: skip
    done = bare_import(("recommender", "unlearning"), blocked)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["recommender", "unlearning"]


WITHOUT_TORCH = """
import sys
import app.serving
from app.serving import batcher, builder, engine, live, ranker, reconciler
loaded = {"numpy", "peft", "recommender", "torch", "transformers"} & set(sys.modules)
assert not loaded, sorted(loaded)
import app.serving.transformers_ranker.loader
assert "torch" in sys.modules, "the loader is where it comes in"
"""


def test_the_serving_engine_loads_no_learning_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_store_runs_on_the_standard_library_alone() -> None:
    blocked = LEARNING | DATABASE | SETTINGS | WEB | QUEUE | TERMINAL | {"redis"}
    done = bare_import(("model_store",), blocked - {"safetensors"})
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_blocking_blocks() -> None:
    done = bare_import(("model_store",), {"hashlib"})
    assert done.returncode != 0
    assert "hashlib is not installed here" in done.stderr
