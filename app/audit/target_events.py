"""The events of the audit log about recipients; see `app.audit.events`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.audit.events import Event


@dataclass(frozen=True)
class RecipientsNotified(Event):
    """Recipients are told of these requests. The requests wait for the acknowledgement of those in ``mandatory``."""

    action = "forget.recipients_notified"
    requests: Sequence[str]
    targets: Sequence[str]
    mandatory: Sequence[str]


@dataclass(frozen=True)
class TargetAcknowledged(Event):
    action = "forget.target_acknowledged"
    request: str
    target: str
