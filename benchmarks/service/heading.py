"""What the result of every measurement through HTTP says first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.settings import Settings
from benchmarks.environment import environment


def service_environment() -> dict[str, Any]:
    """The environment of a service that is measured; its threads are those of its processes, not of this one."""
    header = environment(("app", "benchmarks", "cli", "model_store", "recommender", "unlearning", "worker"))
    return {**header, "threads": Settings.model_fields["torch_threads"].default}


def heading(benchmark: str, data: Path | None) -> dict[str, Any]:
    """The benchmark's name, the environment before it began, and its data: the demo's where there are none."""
    return {
        "benchmark": benchmark,
        "environment": service_environment(),
        "data": {"source": data.name if data is not None else "demo"},
    }
