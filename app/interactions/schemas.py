"""Bodies of the ingest endpoint."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)

from app.id_schema import ID_IN_BODY, TIME


class IngestView(BaseModel):
    """The result of an import. ``dropped_suppressed`` counts events of users who asked to be forgotten, and
    ``dropped_taken_down`` events of other users with items that were taken down.
    """

    stored: int
    duplicates: int
    dropped_suppressed: int
    dropped_taken_down: int
    dropped_unknown_item: int


MAX_EVENTS = 10_000
# As in a JSON file, values may be numbers or text.
_Raw = StrictStr | StrictInt | StrictFloat
_RawId = Annotated[_Raw, WithJsonSchema(ID_IN_BODY)]
_RawTime = Annotated[_Raw, WithJsonSchema(TIME)]
_Rating = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class InteractionBody(BaseModel):
    """One event. `read_events` checks ids and times, each distinct value once per batch."""

    model_config = ConfigDict(extra="forbid")

    user_id: _RawId
    item_id: _RawId
    timestamp: _RawTime
    rating: Annotated[
        _Rating | None,
        Field(
            description="what the user gave the item; styles that need none never read it. "
            "An event that is stored keeps its rating"
        ),
    ] = None


class IngestBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    interactions: Annotated[list[InteractionBody], Field(min_length=1, max_length=MAX_EVENTS)]


BODY_SCHEMA = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["interactions"],
                "additionalProperties": False,
                "properties": {
                    "interactions": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": MAX_EVENTS,
                        "items": InteractionBody.model_json_schema(),
                    }
                },
            }
        }
    },
}
