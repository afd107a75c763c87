"""What the tests of the commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli.running import environment_of
from tests.integration.tiny_model import tiny_settings


@pytest.fixture
def environment(tmp_path: Path, base_folder: Path) -> dict[str, str]:
    """An embedded installation in a folder of its own, not set up yet."""
    return environment_of(tiny_settings(f"sqlite:///{tmp_path}/lethe.sqlite3", base_folder, tmp_path))
