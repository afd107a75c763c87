"""Running a command as a person does, and what it says when it cannot work."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from app.settings import Settings
from tests.integration.tiny_model import AUDIT_SECRET, SECRET


class _Warm:
    """The process that runs the commands of this test process; see `warm.py`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.cli.warm"],
            cwd=Path(__file__).parents[3],
            env=_without_settings(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        output, errors = (Path(self._folder.name) / name for name in ("output", "errors"))
        command = {
            "arguments": arguments,
            "environment": environment,
            "folder": str(Path.cwd()),
            "output": str(output),
            "errors": str(errors),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(
            [*arguments], status, output.read_text(errors="replace"), errors.read_text(errors="replace")
        )

    def close(self) -> None:
        self._process.communicate()
        self._folder.cleanup()


@cache
def _warm() -> _Warm:
    started = _Warm()
    atexit.register(started.close)
    return started


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}


def lethe(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return _warm().run(arguments, _without_settings() | environment)


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("lethe: ")
    for word in words:
        assert word in lines[0], lines[0]


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables under which a command finds what these settings name."""
    return {
        "LETHE_DATABASE_URL": settings.database_url,
        "LETHE_BROKER_URL": settings.broker_url,
        "LETHE_STORE_URL": settings.store_url,
        "LETHE_BASE": settings.base,
        "LETHE_SUBJECT_KEY": SECRET,
        "LETHE_AUDIT_KEY": AUDIT_SECRET,
    }
