"""Typed, frozen settings, read once per process from ``LETHE_*`` variables (and a ``.env`` file where there is one).

Hyper-parameters are not settings: they travel in the policy of a run and are recorded with it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PLACEHOLDER = "development-only"
MINIMUM_SECRET_BYTES = 32
# A replica says at least this often that it lives.
REPORT_SECONDS = 2.0


# What a path of our own begins with: after such a prefix nobody could tell whether a proxy has stripped it.
ROUTES = frozenset(
    {
        "adapters", "consolidations", "docs", "forget-requests", "healthz", "interactions", "jobs", "metrics",
        "openapi.json", "readyz", "recommend", "redoc", "static", "users",
    }
)  # fmt: skip


def _prefix(value: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", value):
        raise ValueError("must be empty or a path like /lethe or /privacy/lethe, without a slash at its end")
    first = value.split("/")[1] if value else ""
    if first in ROUTES:
        raise ValueError(f"must not begin with /{first}: the service has routes of that name")
    return value


class Settings(BaseSettings):
    """Everything that differs between the sizes of an installation.

    Raises:
        pydantic.ValidationError: a value is malformed, or a secret is missing, a placeholder or too short while
            ``environment`` is ``production``.
    """

    model_config = SettingsConfigDict(env_prefix="LETHE_", env_file=".env", extra="ignore", frozen=True)

    environment: Literal["development", "production"] = "production"

    database_url: str = "sqlite:///.lethe/lethe.sqlite3"
    broker_url: str = Field(
        "filesystem://.lethe/broker",
        description="filesystem://DIRECTORY (needs no server), redis://…, or amqp://…",
    )
    store_url: str = ".lethe/store"
    base: str = Field(
        ".lethe/base", description="folder or hub id of the base model; must carry catalogue.json"
    )
    policy_file: Path | None = Field(None, description="gate policy as JSON; the packaged default otherwise")

    subject_key: SecretStr = SecretStr(f"{PLACEHOLDER}-subject-key")
    audit_key: SecretStr = SecretStr(f"{PLACEHOLDER}-audit-key")

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    root_path: Annotated[str, AfterValidator(_prefix)] = Field(
        "",
        description="prefix under which a proxy shows the service, like /lethe; the proxy may strip it or not",
    )
    device: str = Field("cpu", description="device of the serving model: cpu, cuda, cuda:1, …")
    worker_device: str = Field("cpu", description="device of the worker's model")
    torch_threads: int = Field(
        1, ge=1, description="of each process; small models gain little from more and lose much on busy cores"
    )
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024)
    max_recommendations: int = Field(100, ge=1)

    feed_poll_seconds: float = Field(0.2, gt=0)
    feed_lease_seconds: float = Field(
        1.0,
        gt=0,
        description="a replica that has not read the suppression feed for this long stops personalising",
    )
    replica_timeout_seconds: float = Field(
        10.0,
        gt=0,
        description="a replica silent for this long is out of rotation; must exceed the feed lease",
    )
    prepare_timeout_seconds: float = Field(30.0, gt=0)
    acknowledge_timeout_seconds: float = Field(120.0, gt=0)

    lease_seconds: float = Field(
        60.0, gt=0, description="a run whose worker has not renewed for this long is reclaimed"
    )
    heartbeat_seconds: float = Field(10.0, gt=0)
    sweep_seconds: float = Field(5.0, gt=0)
    redispatch_seconds: float = Field(30.0, gt=0, description="a queued run is rung again after this long")
    max_claims: int = Field(
        3, ge=1, description="claims of one run (a kill counts) before it needs attention"
    )
    max_subjects_per_run: int = Field(64, ge=1)
    consolidation_patience_seconds: float = Field(
        3600.0, ge=0, description="a waiting consolidation lets forget runs go first for this long"
    )
    run_soft_limit_seconds: int = Field(3300, ge=1)
    run_hard_limit_seconds: int = Field(3600, ge=1)

    @model_validator(mode="after")
    def _refuse_placeholder_secrets(self) -> Self:
        if self.environment == "development":
            return self
        for name in ("subject_key", "audit_key"):
            secret = getattr(self, name).get_secret_value()
            if PLACEHOLDER in secret or len(secret.encode()) < MINIMUM_SECRET_BYTES:
                raise ValueError(
                    f"LETHE_{name.upper()} must be a secret of at least {MINIMUM_SECRET_BYTES} bytes "
                    "(try: openssl rand -hex 32); placeholders work only with LETHE_ENVIRONMENT=development"
                )
        return self

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        if self.replica_timeout_seconds < max(2 * self.feed_lease_seconds, 3 * REPORT_SECONDS):
            # A replica is left out of the acknowledgement only once it is certain that it no longer personalises.
            raise ValueError(
                "LETHE_REPLICA_TIMEOUT_SECONDS must be at least twice LETHE_FEED_LEASE_SECONDS, "
                f"and at least {3 * REPORT_SECONDS:g}"
            )
        if self.feed_poll_seconds * 2 > self.feed_lease_seconds:
            raise ValueError("LETHE_FEED_LEASE_SECONDS must be at least twice LETHE_FEED_POLL_SECONDS")
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ValueError("LETHE_LEASE_SECONDS must be at least twice LETHE_HEARTBEAT_SECONDS")
        if self.run_soft_limit_seconds >= self.run_hard_limit_seconds:
            raise ValueError("LETHE_RUN_HARD_LIMIT_SECONDS must exceed LETHE_RUN_SOFT_LIMIT_SECONDS")
        return self

    @property
    def visibility_timeout_seconds(self) -> int:
        """Above the longest run, or Redis would deliver a run's message again while it is still being worked on."""
        return 2 * self.run_hard_limit_seconds


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process."""
    return Settings()
