"""All tables of the service. No table holds a raw user id: users are named by a keyed HMAC (``subject_hmac``)."""

from app.db.models.batches import ForgetBatch, ForgetBatchItem
from app.db.models.events import PublicEvent
from app.db.models.evidence import AuditNode, AuditReference, AuditTree, Receipt
from app.db.models.idempotency import KeptAnswer
from app.db.models.opendsr import OpenDsrRequest
from app.db.models.people import BaseReader, Interaction, LevelMaking, NeverSeenLevel, PartReading, PastReader
from app.db.models.requests import ForgetRequest, Suppression
from app.db.models.runs import (
    Attempt,
    AttemptRequest,
    OutboxEntry,
    Run,
    RunNote,
    SkippedRung,
    SkippedRungRequest,
)
from app.db.models.selections import EventSelection
from app.db.models.service import ApiKey, AuditEntry, Ledger
from app.db.models.sessions import DashboardSession
from app.db.models.statuses import (
    ConsolidationReason,
    RequestScope,
    RequestStatus,
    RunKind,
    RunStage,
    RunStatus,
)
from app.db.models.takedowns import ItemTakedown, TakenItemId
from app.db.models.targets import ForgetTarget
from app.db.models.versions import LatencyHour, Replica, ServingPointer, Version
from app.db.models.webhooks import (
    DeliveryState,
    EndpointState,
    Recipient,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookProtocol,
)

__all__ = [
    "ApiKey",
    "Attempt",
    "AttemptRequest",
    "AuditEntry",
    "AuditNode",
    "AuditReference",
    "AuditTree",
    "BaseReader",
    "ConsolidationReason",
    "DashboardSession",
    "DeliveryState",
    "EndpointState",
    "EventSelection",
    "ForgetBatch",
    "ForgetBatchItem",
    "ForgetRequest",
    "ForgetTarget",
    "Interaction",
    "ItemTakedown",
    "KeptAnswer",
    "LatencyHour",
    "Ledger",
    "LevelMaking",
    "NeverSeenLevel",
    "OpenDsrRequest",
    "OutboxEntry",
    "PartReading",
    "PastReader",
    "PublicEvent",
    "Receipt",
    "Recipient",
    "Replica",
    "RequestScope",
    "RequestStatus",
    "Run",
    "RunKind",
    "RunNote",
    "RunStage",
    "RunStatus",
    "ServingPointer",
    "SkippedRung",
    "SkippedRungRequest",
    "Suppression",
    "TakenItemId",
    "Version",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookProtocol",
]
