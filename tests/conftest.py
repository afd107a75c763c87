"""What all tiers share: marks by folder, early word on what is missing, one thread, MovieLens if it is there."""

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from app.loading import loading
from tests.memory import folder_in_memory
from tests.one_database import all_are_asked_for, drawn_out

if TYPE_CHECKING:
    from tests.postgres_server import PostgresServer


# Before anything imports torch: the models are tiny, and more threads only make them wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# As `recommender.use_processor` does it, for every process that the tests start.
for name, value in {"MMAP_MAX": 0, "TRIM_THRESHOLD": 2**40, "TOP_PAD": 2**28}.items():
    os.environ.setdefault(f"MALLOC_{name}_", str(value))
# An error that is wrapped at the terminal's width would not be found by its words.
os.environ["COLUMNS"] = "400"
# No test asks a model hub for anything.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A shell that runs the tests in the background ignores Ctrl-C, and every process that they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A test leaves little behind, and looking for it as often as by default takes a tenth of the time.
gc.set_threshold(50_000, 20, 100)

_TESTS = Path(__file__).parent
# Whether a test passes must not depend on how busy the machine is.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

_TIERS = ("integration", "browser", "acceptance", "gpu")
_NEED_SERVICES = ("integration", "acceptance")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: half as many again as cores, because some tests wait for time-outs and for other processes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores * 3 // 2)


def pytest_configure(config: pytest.Config) -> None:
    """Find or start what a run shares, before any process of `-n` is there to share it."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if config.getoption("numprocesses", None):
        _write_into_memory(config)
    if not _may_need_services(config):
        return
    # Imported here and not above: the learning half's tests run where no database driver is installed.
    from tests.services import EXIT_CODE, ServicesMissing, provide

    try:
        servers = provide()
    except ServicesMissing as error:
        pytest.exit(str(error), returncode=EXIT_CODE)
    if servers is not None:
        config.add_cleanup(servers.stop)


def _write_into_memory(config: pytest.Config) -> None:
    """Put the temporary files of all processes of a parallel run into memory; they are gone with the run."""
    folder = folder_in_memory("lethe-tests")
    if folder is not None:
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        config.add_cleanup(partial(shutil.rmtree, folder, ignore_errors=True))


def _may_need_services(config: pytest.Config) -> bool:
    """Whether an argument names a folder or file of a tier with services, or a folder that holds them all."""
    paths = [
        (config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args
    ]
    tiers = [_TESTS / tier for tier in _NEED_SERVICES]
    return any(path.is_relative_to(tier) or tier.is_relative_to(path) for path in paths for tier in tiers)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Leave what is loaded by now alone: every collection of garbage would look through all of it again.

    Serving collects whenever it has let go of a version, and tests of what is freed do so too.
    """
    with loading():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test in a tier's folder (tests/integration, tests/browser, …) bears its mark; the quick tier comes first.

    In parallel it comes last: a core that has run out of small files has nothing to do beside a long one.
    """
    for item in items:
        if _tier(item) in _TIERS:
            item.add_marker(_tier(item))
    # One that is named is run.
    if not all_are_asked_for() and not any("::" in argument for argument in config.args):
        left = drawn_out(items)
        config.hook.pytest_deselected(items=list(left))
        items[:] = [item for item in items if item not in left]
    parallel = hasattr(config, "workerinput")
    items.sort(
        key=lambda item: _TIERS.index(_tier(item)) if _tier(item) in _TIERS else -1,
        reverse=parallel,
    )


def _tier(item: pytest.Item) -> str:
    return item.path.relative_to(_TESTS).parts[0]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Stop before the first test, and not an hour into the run, if a service is missing."""
    if any(item.get_closest_marker(tier) for item in session.items for tier in _NEED_SERVICES):
        from tests.services import EXIT_CODE, advice, missing_services

        problems = missing_services()
        if problems:
            pytest.exit(advice(problems), returncode=EXIT_CODE)


@pytest.fixture(scope="session")
def ml100k() -> Path:
    """The folder of MovieLens-100K (u.data, u.item); it is never part of the repository."""
    folder = os.environ.get("LETHE_ML100K")
    if not folder:
        pytest.skip("LETHE_ML100K does not name a copy of MovieLens-100K")
    path = Path(folder)
    if not (path / "u.data").is_file() and not any(path.glob("*.inter")):
        pytest.skip(f"LETHE_ML100K ({folder}) holds no MovieLens-100K")
    return path


@pytest.fixture(autouse=True)
def _gpu_or_skip(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs CUDA")


@pytest.fixture(scope="session")
def postgres() -> Iterator["PostgresServer"]:
    from tests.postgres_server import PostgresServer

    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def empty_redis() -> Iterator[str]:
    """The address of the tests' own Redis database, empty before and after."""
    import redis

    from tests.services import redis_url

    with redis.Redis.from_url(redis_url()) as client:
        client.flushdb()
        yield redis_url()
        client.flushdb()
