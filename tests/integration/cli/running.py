"""Running a command as a person does, and what it says when it cannot work."""

from __future__ import annotations

import subprocess

from app.settings import Settings
from tests.commands import run, without_settings
from tests.integration.tiny_model import AUDIT_SECRET, SECRET, SIGNING_KEY

# A command that has not ended by then is killed.
_SECONDS = 120


def lethe(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return run(arguments, without_settings() | environment, _SECONDS)


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
        "LETHE_SIGNING_KEY": SIGNING_KEY,
    }
