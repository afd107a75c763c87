"""Typed, frozen settings, read once per process from ``LETHE_*`` variables (and from a ``.env`` file if there is one).

Hyper-parameters are not settings: they belong to the policy of a run and are recorded with it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from app.access_settings import AccessSettings
from app.engine_settings import EngineSettings
from app.failures import SettingError
from app.opendsr_settings import OpenDsrSettings
from app.telling_settings import TellingSettings
from app.worker_settings import WorkerSettings

PLACEHOLDER = "development-only"
MINIMUM_SECRET_BYTES = 32
# A replica reports at least this often.
REPORT_SECONDS = 2.0
BROKERS = ("filesystem", "redis", "rediss", "amqp", "amqps")
_SEED = re.compile(r"[0-9a-fA-F]{64}")
_DEVICE = re.compile(r"cpu|mps|(cuda|xpu)(:[0-9]{1,3})?")

# At most a year: a longer time is a mistake, and would overflow somewhere.
Seconds = Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
LogFormat = Literal["auto", "json", "console"]


# First segments of our own paths. With such a prefix, one could not tell whether a proxy has stripped it.
ROUTES = frozenset(
    {
        ".well-known", "adapters", "audit", "consolidations", "dashboard", "docs", "events", "forget-batches",
        "forget-requests", "healthz", "interactions", "items", "login", "metrics", "opendsr", "openapi.json", "readyz",
        "recommend", "runs", "static", "statistics", "takedowns", "users", "webhook-deliveries", "webhook-endpoints",
    }
)  # fmt: skip


def _prefix(value: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", value):
        raise ValueError("must be empty or a path like /lethe or /privacy/lethe, without a slash at its end")
    first = value.split("/")[1] if value else ""
    if first in ROUTES:
        raise ValueError(f"must not begin with /{first}: the service has routes of that name")
    return value


class Settings(WorkerSettings, AccessSettings, EngineSettings, TellingSettings, OpenDsrSettings):
    """All options of an installation, from one machine to many.

    Raises:
        pydantic.ValidationError: a value is malformed; a secret is blank; both secrets are the same; or, with
            ``environment`` ``production``, a secret is missing, a placeholder or too short.
    """

    model_config = SettingsConfigDict(env_prefix="LETHE_", env_file=".env", extra="ignore", frozen=True)

    environment: Literal["development", "production"] = Field(
        "production", description="development takes placeholder secrets and shows /docs without a key"
    )
    log_format: LogFormat = Field(
        "auto", description="lines of the log: json, console for people, or auto: console on a terminal"
    )

    database_url: Text = Field(
        "sqlite:///.lethe/lethe.sqlite3", description="sqlite:///FILE or postgresql+psycopg://…"
    )
    database_connect_seconds: int = Field(
        2, ge=2, le=60, description="what a gateway gives PostgreSQL for a new connection or a sign of life"
    )
    database_checkout_seconds: Seconds = Field(
        2.0, description="how long a request waits for a connection where all are in use"
    )
    database_silence_seconds: Seconds = Field(
        5.0,
        description="a gateway gives PostgreSQL up that has sent nothing for this long; it waits for a lock a bit less",
    )
    database_prompt_seconds: Seconds = Field(
        1.0,
        description="how long a recommendation waits for the database; then all are the fallback until that answers",
    )
    key_lease_seconds: Seconds = Field(
        86_400.0,
        description="a key that was good is good for recommendations and metrics for this long without the database",
    )
    broker_url: Text = Field(
        "filesystem://.lethe/broker",
        description="filesystem://DIRECTORY (needs no server), redis://…, or amqp://…",
    )
    store_url: Text = Field(
        ".lethe/store",
        description="a folder, file:///FOLDER, or s3://BUCKET/PREFIX; for a bucket, AWS_ENDPOINT_URL, AWS_REGION, "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are read as well",
    )
    base: Text = Field(
        ".lethe/base",
        description="folder or hub id (owner/name@commit) of the base model; must carry catalogue.json",
    )
    policy_file: Path | None = Field(None, description="gate policy as JSON; the packaged default otherwise")
    request_policy: Text = Field(
        "default",
        description="steps before a run takes a request: default (none), strict (approval by a second person, 24 hours "
        "to cancel), or a JSON file",
    )

    subject_key: SecretStr = Field(
        SecretStr(f"{PLACEHOLDER}-subject-key"),
        description="keys the HMAC that stands for a user; losing it orphans everything",
    )
    audit_key: SecretStr = Field(
        SecretStr(f"{PLACEHOLDER}-audit-key"), description="keys the chain of the audit log"
    )
    signing_key: SecretStr = Field(
        SecretStr(f"{PLACEHOLDER}-signing-key"),
        description="of a gateway: the Ed25519 key that signs receipts and checkpoints, 64 hexadecimal digits",
    )
    former_signers: str = Field(
        "",
        description="of a gateway: the public keys before it (`x` of /.well-known/jwks.json), separated by spaces; "
        "they stay published",
    )
    issuer: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~:/-]{1,200}$")] = Field(
        "lethe", description="the service's name in receipts and checkpoints, best a name of yours in the DNS"
    )

    host: Text = Field("127.0.0.1", description="where a gateway listens")
    port: int = Field(8000, ge=1, le=65535, description="the port of it")
    event_loop: Literal["asyncio", "uvloop"] = Field(
        "asyncio", description="the event loop that a gateway runs on; uvloop has to be installed for it"
    )
    root_path: Annotated[str, AfterValidator(_prefix)] = Field(
        "",
        description="prefix under which a proxy shows the service, like /lethe; the proxy may strip it or not",
    )
    device: str = Field(
        "cpu", description="device of the serving model, where this process computes: cpu, cuda, cuda:1, …"
    )
    worker_device: str = Field("cpu", description="device of the worker's model")
    torch_threads: int = Field(
        1,
        ge=1,
        le=1024,
        description="of each process; small models gain little from more and lose much on busy cores",
    )
    batch_tokens: int = Field(
        1024,
        ge=1,
        le=2**24,
        description="most tokens of one batch, padding included; on a processor more add waiting and no throughput, "
        "on a GPU allow several times as many",
    )
    cached_answers: int = Field(
        10_000, ge=0, le=10**7, description="how many answers a gateway keeps in memory; 0 for none"
    )
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024, le=2**30, description="of one request")
    max_connections: int = Field(
        1000,
        ge=8,
        le=100_000,
        description="open at a time; beyond, the oldest without a key and then the oldest idle is closed",
    )
    request_head_seconds: Seconds = Field(10.0, description="for the head of a request to arrive")
    request_body_seconds: Seconds = Field(60.0, description="for its body to arrive")
    max_recommendations: int = Field(100, ge=1, le=100_000, description="in one answer")

    feed_poll_seconds: Seconds = Field(
        0.2, description="how often a replica looks at the serving pointer and the suppression feed"
    )
    feed_lease_seconds: Seconds = Field(
        1.0, description="a replica that has not read the suppression feed for this long stops personalising"
    )
    replica_timeout_seconds: Seconds = Field(
        10.0, description="a replica silent for this long is out of rotation; must exceed the feed lease"
    )
    prepare_timeout_seconds: Seconds = Field(
        30.0, description="how long a run waits for replicas to load its candidate; slow ones catch up later"
    )
    acknowledge_timeout_seconds: Seconds = Field(
        120.0, description="how long a published run waits for replicas to serve it, before it pauses"
    )

    lease_seconds: Seconds = Field(
        60.0, description="a run whose worker has not renewed for this long is reclaimed"
    )
    heartbeat_seconds: Seconds = Field(10.0, description="how often a worker renews its lease")
    sweep_seconds: Seconds = Field(5.0, description="how often a worker looks for runs that nobody works on")
    redispatch_seconds: Seconds = Field(30.0, description="a queued run is rung again after this long")
    max_claims: int = Field(
        3, ge=1, le=1_000_000, description="claims of one run (a kill counts) before it needs attention"
    )
    outage_pause_seconds: Seconds = Field(
        2.0,
        description="a run that store, database or replicas hold up pauses this long, then twice as long, …",
    )
    longest_outage_pause_seconds: Seconds = Field(60.0, description="… and never longer than this")
    rewrite_tables_up_to_bytes: int = Field(
        64 * 1024 * 1024,
        ge=0,
        le=2**50,
        description="PostgreSQL: a table that rows of a subject were deleted from is rewritten, so that no byte of "
        "them is left; one that is larger with its indexes is vacuumed, because nobody can use it meanwhile",
    )
    max_subjects_per_run: int = Field(64, ge=1, le=10_000, description="requests that one run may serve")
    consolidation_patience_seconds: float = Field(
        3600.0,
        ge=0,
        le=366 * 86_400,
        allow_inf_nan=False,
        description="a waiting consolidation lets forget runs go first for this long",
    )

    @field_validator("broker_url")
    @classmethod
    def _refuse_unknown_brokers(cls, url: str) -> str:
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in BROKERS:
            # If the scheme is missing, the text before the colon may be a password.
            named = f"{scheme}:// is not supported" if separator and scheme.isalnum() else "not an address"
            raise ValueError(f"{named}; use filesystem://DIRECTORY, redis://HOST/NUMBER or amqp://HOST")
        if scheme == "filesystem":
            if not rest:
                raise ValueError("names no folder; use filesystem://DIRECTORY")
            return url
        try:
            parts = urlsplit(url)
            unusable = parts.port == 0
        except ValueError as error:
            raise ValueError(
                "its port is not a number from 0 to 65535, or its host cannot be read"
            ) from error
        if unusable:
            raise ValueError("nothing listens on port 0")
        if scheme.startswith("redis") and not re.fullmatch(r"/?[0-9]*", parts.path):
            raise ValueError("a database of Redis is a number: redis://HOST/NUMBER")
        return url

    @field_validator("device", "worker_device")
    @classmethod
    def _refuse_unknown_devices(cls, device: str) -> str:
        if not _DEVICE.fullmatch(device):
            raise ValueError(f"{device!r} is no device; use cpu, cuda or cuda:NUMBER")
        return device

    @field_validator("subject_key", "audit_key", "signing_key")
    @classmethod
    def _refuse_blank_secrets(cls, secret: SecretStr) -> SecretStr:
        if not secret.get_secret_value().strip():
            raise ValueError("must not be blank (try: openssl rand -hex 32)")
        return secret

    @model_validator(mode="after")
    def _refuse_equal_secrets(self) -> Self:
        # Somebody who learns one secret, by a leak or for their task, must not know the other one with it.
        if self.subject_key.get_secret_value().strip() == self.audit_key.get_secret_value().strip():
            raise ValueError(
                "LETHE_AUDIT_KEY must not be the same secret as LETHE_SUBJECT_KEY (try: openssl rand -hex 32)"
            )
        signing = self.signing_key.get_secret_value().strip()
        if signing in (
            self.subject_key.get_secret_value().strip(),
            self.audit_key.get_secret_value().strip(),
        ):
            raise ValueError(
                "LETHE_SIGNING_KEY must not be the same secret as another one (try: openssl rand -hex 32)"
            )
        others = {secret.get_secret_value().strip() for secret in (self.subject_key, self.audit_key)}
        if self.webhook_key is not None and self.webhook_key.get_secret_value().strip() in {*others, signing}:
            raise ValueError("LETHE_WEBHOOK_KEY must be a secret of its own (try: openssl rand -hex 32)")
        return self

    @field_validator("signing_key")
    @classmethod
    def _refuse_malformed_signing_keys(cls, secret: SecretStr) -> SecretStr:
        if PLACEHOLDER not in secret.get_secret_value() and not _SEED.fullmatch(secret.get_secret_value()):
            raise ValueError("must be 64 hexadecimal digits (try: openssl rand -hex 32)")
        return secret

    @model_validator(mode="after")
    def _refuse_placeholder_secrets(self) -> Self:
        if self.environment == "development":
            return self
        if self.allow_private_webhooks:
            raise ValueError(
                "LETHE_ALLOW_PRIVATE_WEBHOOKS works only with LETHE_ENVIRONMENT=development: whoever registers a "
                "webhook could reach what only this network can"
            )
        for name in ("subject_key", "audit_key", "webhook_key"):
            if getattr(self, name) is None:
                continue
            secret = getattr(self, name).get_secret_value()
            if PLACEHOLDER in secret or len(secret.strip().encode()) < MINIMUM_SECRET_BYTES:
                raise ValueError(
                    f"LETHE_{name.upper()} must be a secret of at least {MINIMUM_SECRET_BYTES} bytes "
                    "(try: openssl rand -hex 32); placeholders work only with LETHE_ENVIRONMENT=development"
                )
        return self

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        if self.replica_timeout_seconds < max(2 * self.feed_lease_seconds, 3 * REPORT_SECONDS):
            # The worker stops waiting for a silent replica after the time-out. By then the replica's lease must have
            # lapsed, so that it no longer personalises.
            raise ValueError(
                "LETHE_REPLICA_TIMEOUT_SECONDS must be at least twice LETHE_FEED_LEASE_SECONDS, "
                f"and at least {3 * REPORT_SECONDS:g}"
            )
        if self.feed_poll_seconds * 2 > self.feed_lease_seconds:
            raise ValueError("LETHE_FEED_LEASE_SECONDS must be at least twice LETHE_FEED_POLL_SECONDS")
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ValueError("LETHE_LEASE_SECONDS must be at least twice LETHE_HEARTBEAT_SECONDS")
        if self.outage_pause_seconds > self.longest_outage_pause_seconds:
            raise ValueError(
                "LETHE_LONGEST_OUTAGE_PAUSE_SECONDS must not be below LETHE_OUTAGE_PAUSE_SECONDS"
            )
        return self


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process.

    Raises:
        pydantic.ValidationError: as `Settings` does.
        SettingError: the file `.env` exists and cannot be read.
    """
    try:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"the file .env cannot be read as UTF-8 text: {error}") from error
