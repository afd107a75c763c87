"""Bodies of POST /recommend."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.fields import Id, Time
from app.recommendations.schemas import RecommendationView

MOST_USERS = 100
MOST_OWN_EVENTS = 10_000
_Rating = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def _whole(value: object) -> object:
    # JSON has one kind of number: 5.0 is an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


class OwnEvent(BaseModel):
    """One event of a history that the caller keeps. Without a time it is left out of the history of everybody who has
    had anything forgotten, because nobody can tell whether it is one of those events.
    """

    model_config = ConfigDict(extra="forbid")

    item_id: Id
    timestamp: Time | None = None
    rating: _Rating | None = None


class UserBody(BaseModel):
    """``history``: the user's events, oldest first, in place of the stored ones. They are not stored.
    ``candidates``: the only items to rank.
    """

    model_config = ConfigDict(extra="forbid")

    user_id: Id
    k: Annotated[int, Field(ge=1, strict=True), BeforeValidator(_whole)] = 10
    history: Annotated[list[OwnEvent], Field(max_length=MOST_OWN_EVENTS)] | None = None
    candidates: list[Id] | None = None


class ManyBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    users: Annotated[list[UserBody], Field(min_length=1, max_length=MOST_USERS)]


class RefusalView(BaseModel):
    """Why one user of many got no answer: the code of the problem that `GET /recommend` would have given."""

    code: str
    detail: str
    retry_after_seconds: int | None


class RecommendResultView(BaseModel):
    """Either is null."""

    recommendation: RecommendationView | None
    problem: RefusalView | None


class RecommendResultsView(BaseModel):
    """One result for each user, in the order of the request."""

    results: list[RecommendResultView]


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A model's schema without references, to stand in the document of the API by itself."""
    named: dict[str, Any] = schema.pop("$defs", {})

    def inline(part: Any) -> Any:
        if isinstance(part, list):
            return [inline(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return inline(named[part["$ref"].rpartition("/")[2]])
        return {key: inline(value) for key, value in part.items()}

    found: dict[str, Any] = inline(schema)
    return found


BODY_SCHEMA = {
    "required": True,
    "content": {"application/json": {"schema": inlined(ManyBody.model_json_schema())}},
}
