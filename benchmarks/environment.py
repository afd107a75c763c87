"""Where and with what a figure was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch

from unlearning.evaluation.evaluate import library_versions


def environment(rooms: Sequence[str] = ("recommender", "unlearning", "benchmarks")) -> dict[str, Any]:
    """Machine, threads, library versions, commit and time; no host name and no path.

    Args:
        rooms: the folders that are measured. The result says whether they hold uncommitted changes.
    """
    return {
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system()},
        "threads": torch.get_num_threads(),
        "library_versions": library_versions(),
        "commit": commit(),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", *rooms)),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": [round(load, 2) for load in os.getloadavg()],
    }


@cache
def commit() -> str | None:
    """The commit of the running code; None outside a checkout."""
    return _git("rev-parse", "HEAD")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    folder = Path(__file__).parent
    try:
        done = subprocess.run(  # fixed arguments, no shell
            ["git", "-C", str(folder.parent), *arguments],  # noqa: S607  # git from the path, as a developer would
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
