"""The settings that bound how long a worker works on one run, and how long it may be silent."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings


class WorkerSettings(BaseSettings):
    """A part of `app.settings.Settings`."""

    run_soft_limit_seconds: int = Field(
        3300, ge=1, le=366 * 86_400, description="after so long a run is told to stop, and starts over"
    )
    run_hard_limit_seconds: int = Field(
        3600, ge=1, le=366 * 86_400, description="after so long its process is killed"
    )
    worker_silence_seconds: float = Field(
        60.0,
        ge=10,
        le=366 * 86_400,
        allow_inf_nan=False,
        description="a worker whose main loop has stood still for so long ends, with exit code 1",
    )

    @model_validator(mode="after")
    def _require_time_to_stop(self) -> Self:
        if self.run_soft_limit_seconds >= self.run_hard_limit_seconds:
            raise ValueError("LETHE_RUN_HARD_LIMIT_SECONDS must exceed LETHE_RUN_SOFT_LIMIT_SECONDS")
        return self

    @property
    def visibility_timeout_seconds(self) -> int:
        """Longer than the longest run: otherwise Redis would deliver a run's message again during the run."""
        return 2 * self.run_hard_limit_seconds
