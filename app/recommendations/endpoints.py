"""GET /recommend."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.types import Receive, Send
from starlette.types import Scope as ConnectionScope

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.db.errors import DatabaseUnavailable
from app.dependencies import GatewayDependency
from app.errors import Problem
from app.fields import IdInQuery
from app.gateway import Gateway
from app.last_look import LAST_LOOK, LastLook
from app.problem_schema import problems
from app.recommendations.history_cache import History
from app.serving import FallbackReason, Recommendation, ServingOverloaded

router = APIRouter(tags=["recommendations"])

# Not a `default_factory`, whose signature pydantic would look at for each request.
_NOBODY_NAMED: list[str] = []


class ItemView(BaseModel):
    item_id: str
    title: str
    score: float | None


class RecommendationView(BaseModel):
    """``version`` names what computed the items: a version's digest, or ``fallback:…`` for the popularity list.

    ``retriever`` names what found the candidates; null if the caller named them or none were needed.
    """

    items: list[ItemView]
    personalised: bool
    fallback_reason: FallbackReason | None
    version: str
    generation: int | None
    retriever: str | None


@router.get("/recommend", response_model=RecommendationView, responses=problems())
async def recommend(
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.RECOMMEND))],
    user_id: Annotated[IdInQuery, Query(description="percent-encoded, a plus sign in it as %2B")],
    candidate: Annotated[
        list[IdInQuery],
        Query(
            description="rank these items only, one parameter each; others than the catalogue has are left out",
        ),
    ] = _NOBODY_NAMED,
    k: Annotated[int, Query(ge=1, description="how many items")] = 10,
) -> Response:
    """The k items that the user is most likely to want next, without items that the user has seen.

    A model that ranks the whole catalogue needs no candidates. A model that reads titles ranks some candidates: as many
    as it has letters, or as its style says. They are those of the caller, or else those of the built-in retriever.

    Suppressed and unknown users all get the same popular items, labelled as such. Every answer names the version that
    computed it.
    """
    limit = gateway.most_recommendations
    if k > limit:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "validation-failed",
            f"k must be between 1 and {limit}.",
            maximum=limit,
        )
    subject = gateway.subject_key.subject(user_id)
    answer = await _answer(gateway, subject, k, _candidates(gateway, candidate))
    return _CheckedLast(gateway, subject, answer, k)


class _CheckedLast(Response):
    """Asks the engine again whether the answer may be given, before it is sent and around each write (`app.last_look`).

    The answer has waited for the event loop. If the process was suspended meanwhile, the user may have been suppressed
    since.
    """

    def __init__(self, gateway: Gateway, subject: str, answer: Recommendation, k: int) -> None:
        super().__init__()
        self._gateway, self._subject, self._answer, self._k = gateway, subject, answer, k
        # Serialise now, so that little happens between the check and the write.
        self._response = _response(answer)

    async def __call__(self, scope: ConnectionScope, receive: Receive, send: Send) -> None:
        holds = self._gateway.engine.still_holds(self._subject, self._answer, self._k)
        response = self._response if holds is self._answer else _response(holds)
        if holds.personalised:
            scope.setdefault("state", {})[LAST_LOOK] = LastLook(
                lambda: self._gateway.engine.still_holds(self._subject, holds, self._k) is holds
            )
        await response(scope, receive, send)


def _response(answer: Recommendation) -> Response:
    content = to_json(
        {
            "items": [
                {"item_id": item.item_id, "title": item.title, "score": item.score} for item in answer.items
            ],
            "personalised": answer.personalised,
            "fallback_reason": answer.fallback_reason,
            "version": answer.version,
            "generation": answer.generation,
            "retriever": answer.retriever,
        }
    )
    # No cache may keep personal answers: they would outlive a forget request.
    headers = {"Cache-Control": "private, no-store", "Lethe-Version": answer.version}
    return Response(content, media_type="application/json", headers=headers)


def _candidates(gateway: Gateway, named: list[str]) -> list[int] | None:
    """Indices of the candidates that a caller names. Items that the catalogue lacks are left out, as in an import."""
    if not named:
        return None
    most = gateway.engine.most_candidates or gateway.most_recommendations
    found = {index for item in named if (index := gateway.catalogue.index(item)) is not None}
    if len(found) > most:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "validation-failed", f"At most {most} candidates.", maximum=most
        )
    # Keep the caller's order, because the prompt shows the candidates in it.
    return list(dict.fromkeys(index for item in named if (index := gateway.catalogue.index(item)) in found))


async def _answer(gateway: Gateway, subject: str, k: int, candidates: list[int] | None) -> Recommendation:
    engine = gateway.engine
    if engine.must_fall_back(subject):
        return await engine.recommend_soon(subject, (), k)
    try:
        history = await gateway.histories.of(subject)
    except DatabaseUnavailable:
        # The lease on the feed has not lapsed, so the user may be personalised, but there is no history.
        return engine.fall_back(k, "no_history")
    return await personalise(gateway, subject, history, k, candidates)


async def personalise(
    gateway: Gateway, subject: str, history: History, k: int, candidates: list[int] | None
) -> Recommendation:
    """The answer for this history, with candidates of the retriever where some are needed and none are named.

    Raises:
        Problem: 503, the model has too much to do.
    """
    retriever = None
    if candidates is None and history.events and gateway.retriever is not None:
        # In a thread: a retriever that is being brought up to date makes others wait.
        found = await run_sync(
            gateway.retriever.candidates, history.items, gateway.engine.most_candidates or 0
        )
        candidates, retriever = list(found.items), found.retriever
    if candidates == [] and history.events:
        return gateway.engine.fall_back(k, "no_candidates")
    try:
        answer = await gateway.engine.recommend_soon(subject, history.events, k, candidates=candidates)
        return replace(answer, retriever=retriever) if answer.personalised else answer
    except ServingOverloaded as error:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "overloaded",
            "Too many requests wait for the model; try again shortly.",
            headers={"Retry-After": str(error.retry_after_seconds)},
        ) from error
