"""GET /recommend."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from app.authentication import Caller, require
from app.db import interactions
from app.db.api_keys import Scope
from app.db.errors import DatabaseUnavailable
from app.dependencies import GatewayDependency
from app.errors import Problem
from app.fields import IdInQuery
from app.gateway import Gateway
from app.problem_schema import problems
from app.serving import FallbackReason, Recommendation, ServingOverloaded

router = APIRouter(tags=["recommendations"])


class ItemView(BaseModel):
    item_id: str
    title: str
    score: float | None


class RecommendationView(BaseModel):
    """``version`` computed the items: an adapter's digest, or ``fallback:…`` for the popularity list."""

    items: list[ItemView]
    personalised: bool
    fallback_reason: FallbackReason | None
    version: str
    generation: int | None


@router.get("/recommend", responses=problems())
def recommend(
    response: Response,
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.RECOMMEND))],
    user_id: Annotated[IdInQuery, Query(description="percent-encoded, a plus sign in it as %2B")],
    k: Annotated[int, Query(ge=1, description="how many items")] = 10,
) -> RecommendationView:
    """The k items the user is most likely to want next, never one already seen.

    A suppressed user and an unknown one get the same popular items for everyone, labelled as such. Every answer
    names the version that computed it.
    """
    limit = gateway.most_recommendations
    if k > limit:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "validation-failed",
            f"k must be between 1 and {limit}.",
            maximum=limit,
        )
    answer = _answer(gateway, gateway.subject_key.subject(user_id), k)
    # Personal answers must not lie in anyone's cache: a forgotten user would live on there.
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Lethe-Version"] = answer.version
    return RecommendationView(
        items=[ItemView(item_id=item.item_id, title=item.title, score=item.score) for item in answer.items],
        personalised=answer.personalised,
        fallback_reason=answer.fallback_reason,
        version=answer.version,
        generation=answer.generation,
    )


def _answer(gateway: Gateway, subject: str, k: int) -> Recommendation:
    if gateway.engine.must_fall_back(subject):
        return gateway.engine.recommend(subject, (), k)
    try:
        history = _history(gateway, subject)
    except DatabaseUnavailable:
        # The lease on the feed has not lapsed yet, but there is nothing to personalise with.
        return gateway.engine.fall_back(k, "no_history")
    try:
        return gateway.engine.recommend(subject, history, k)
    except ServingOverloaded as error:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "overloaded",
            "Too many requests wait for the model; try again shortly.",
            headers={"Retry-After": str(error.retry_after_seconds)},
        ) from error


def _history(gateway: Gateway, subject: str) -> list[int]:
    """Item indices, oldest first."""
    with gateway.database.read() as session:
        items = interactions.newest_items(session, subject, limit=gateway.engine.history_limit)
    return [index for item in items if (index := gateway.catalogue.index(item)) is not None]
