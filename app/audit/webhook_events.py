"""The events of the audit log about webhook endpoints; see `app.audit.events`."""

from __future__ import annotations

from dataclasses import dataclass

from app.audit.events import Event


@dataclass(frozen=True)
class WebhookRegistered(Event):
    action = "webhook.registered"
    endpoint: str
    name: str


@dataclass(frozen=True)
class WebhookChallenged(Event):
    """An operator has asked for another challenge."""

    action = "webhook.challenged"
    endpoint: str


@dataclass(frozen=True)
class WebhookActivated(Event):
    action = "webhook.activated"
    endpoint: str


@dataclass(frozen=True)
class WebhookDisabled(Event):
    action = "webhook.disabled"
    endpoint: str
    reason: str


@dataclass(frozen=True)
class WebhookRemoved(Event):
    action = "webhook.removed"
    endpoint: str


@dataclass(frozen=True)
class WebhookReplayed(Event):
    """An operator has had the deliveries of these events sent again."""

    action = "webhook.replayed"
    endpoint: str
    first: int
    last: int
