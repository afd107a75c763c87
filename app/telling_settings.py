"""The settings of streams and webhooks."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings


class TellingSettings(BaseSettings):
    """A part of `app.settings.Settings`, which checks the key together with the other secrets."""

    webhook_key: SecretStr | None = Field(
        None,
        description="keys the secrets of webhook endpoints; without it, webhooks are off. Another key changes every "
        "endpoint's secret",
    )
    allow_private_webhooks: bool = Field(
        False, description="development only: webhooks may go to this machine and to private networks"
    )
    max_event_streams: int = Field(
        100,
        ge=1,
        le=100_000,
        description="streams of events at a time, and never more than half of the connections",
    )
    events_kept_seconds: int = Field(
        7 * 86_400,
        ge=4 * 86_400,
        le=366 * 86_400,
        description="how long public events can be read again; longer than a webhook is tried",
    )

    @field_validator("webhook_key", mode="before")
    @classmethod
    def _take_a_blank_key_for_none(cls, secret: object) -> object:
        return None if isinstance(secret, str) and not secret.strip() else secret
