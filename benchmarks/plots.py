"""The plots of a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def draw(result: Mapping[str, Any], folder: Path) -> None:
    """Draw the plots of one result into `folder`."""
