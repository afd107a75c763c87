"""Bodies of the batch endpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app import json_lines
from app.db.models import ForgetBatch, RequestStatus
from app.db.models.statuses import SETTLED
from app.forget_batches.queries import ItemRow
from app.links import Links

MAX_ITEMS = 1000
MAX_BYTES = 512 * 1024


class ItemResult(StrEnum):
    """What became of one item."""

    ACCEPTED = "accepted"
    EXISTING = "existing"
    INVALID = "invalid"


class BatchBody(BaseModel):
    """Each item is like the body of `POST /forget-requests`. Items are checked one by one: one invalid item is no
    obstacle to the others.
    """

    model_config = ConfigDict(extra="forbid")

    items: Annotated[list[Any], Field(min_length=1)]


class ErrorView(BaseModel):
    pointer: str
    code: str
    message: str


class BatchItemView(BaseModel):
    """One item, by its place in the batch. ``status`` is that of its request now; null for an invalid item."""

    position: int
    result: ItemResult
    request: str | None
    status: RequestStatus | None
    errors: list[ErrorView]

    @classmethod
    def of(cls, row: ItemRow, links: Links) -> BatchItemView:
        item = row.item
        return cls(
            position=item.position,
            result=ItemResult(item.result),
            request=links.request(item.request_id) if item.request_id else None,
            status=RequestStatus(row.status) if row.status else None,
            errors=[ErrorView(**error) for error in item.errors or []],
        )


class BatchView(BaseModel):
    """A batch. All numbers are counted when it is read: ``results`` of its items, ``statuses`` of their requests.

    ``done``: every request of the batch is over.
    """

    id: str
    received_at: datetime
    size: int
    results: dict[ItemResult, int]
    statuses: dict[RequestStatus, int]
    done: bool

    @classmethod
    def of(cls, batch: ForgetBatch, rows: Sequence[ItemRow]) -> BatchView:
        results = Counter(row.item.result for row in rows)
        statuses = Counter(row.status for row in rows if row.status is not None)
        return cls(
            id=batch.id,
            received_at=batch.received_at,
            size=batch.size,
            results={result: results[result] for result in ItemResult},
            statuses={status: statuses[status] for status in RequestStatus if statuses[status]},
            done=len(rows) == batch.size and set(statuses) <= SETTLED,
        )


class BatchItemsView(BaseModel):
    items: list[BatchItemView]


class BatchDetail(BatchView):
    """A batch with its items, in the order in which they were sent."""

    items: list[BatchItemView]


class TrialResult(StrEnum):
    """What would become of one item."""

    NEW = "new"
    EXISTING = "existing"
    INVALID = "invalid"


class TrialItemView(BaseModel):
    position: int
    result: TrialResult
    errors: list[ErrorView]


class TrialView(BaseModel):
    """What a batch would do. Nothing is stored."""

    results: dict[TrialResult, int]
    items: list[TrialItemView]


def body_schema() -> dict[str, Any]:
    """The body in the API's description. An item may be anything, because an invalid one gets a result too."""
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["items"],
                    "additionalProperties": False,
                    "properties": {
                        "items": {
                            "type": "array",
                            "minItems": 1,
                            "items": {},
                            # More get a 413, like too many bytes, which a schema cannot say.
                            "description": f"at most {MAX_ITEMS}, each like the body of `POST /forget-requests`",
                        }
                    },
                }
            },
            json_lines.MEDIA_TYPE: {
                "schema": {
                    "type": "string",
                    # There is an item.
                    "pattern": r"[^ \t\r\n]",
                    "description": f"an item on each of at most {MAX_ITEMS} lines, like the body of "
                    "`POST /forget-requests`; blank lines are no items",
                },
                "example": '{"user_id": "user-17"}\n{"client_reference": "zd-4412"}\n',
            },
        },
    }
