"""Running a command as a person does, and what it says when it cannot work."""

from __future__ import annotations

import os
import subprocess
import sys

from app.settings import Settings
from tests.integration.tiny_model import SECRET


def lethe(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


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
        "LETHE_AUDIT_KEY": SECRET,
    }
