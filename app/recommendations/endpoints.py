"""GET /recommend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel
from starlette.types import Receive, Send
from starlette.types import Scope as ConnectionScope

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.db.errors import DatabaseUnavailable
from app.dependencies import GatewayDependency
from app.errors import Problem
from app.fields import IdInQuery
from app.gateway import Gateway
from app.interactions import queries as interactions
from app.last_look import LAST_LOOK, LastLook
from app.problem_schema import problems
from app.serving import FallbackReason, Recommendation, ServingOverloaded

router = APIRouter(tags=["recommendations"])


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
def recommend(
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.RECOMMEND))],
    user_id: Annotated[IdInQuery, Query(description="percent-encoded, a plus sign in it as %2B")],
    candidate: Annotated[
        list[IdInQuery],
        Query(
            default_factory=list,
            description="rank these items only, one parameter each; "
            "those that the catalogue lacks, or that were taken down, are left out",
        ),
    ],
    k: Annotated[int, Query(ge=1, description="how many items")] = 10,
) -> Response:
    """The k items that the user is most likely to want next, without items that the user has seen.

    A model that ranks the whole catalogue needs no candidates. A model that reads titles ranks some candidates: as many
    as it has letters, or as its style says. They are those of the caller, or else those of the built-in retriever.

    Suppressed and unknown users all get the same popular items, labelled as such. Every answer names the version that
    computed it. No answer names an item that was taken down.
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
    answer = answer_for(gateway, subject, k, _candidates(gateway, candidate))
    return CheckedLast(gateway, subject, answer, k, _response)


class CheckedLast(Response):
    """Asks the engine again whether the answer may be given, before it is sent and around each write (`app.last_look`).

    The answer has waited for the event loop. If the process was suspended meanwhile, the user may have been suppressed
    since, or an item of the answer taken down.

    Args:
        show: makes the response for an answer.
    """

    def __init__(
        self,
        gateway: Gateway,
        subject: str,
        answer: Recommendation,
        k: int,
        show: Callable[[Recommendation], Response],
    ) -> None:
        super().__init__()
        self._gateway, self._subject, self._answer, self._k = gateway, subject, answer, k
        self._show = show
        # Serialise now, so that little happens between the check and the write.
        self._response = show(answer)

    async def __call__(self, scope: ConnectionScope, receive: Receive, send: Send) -> None:
        holds = self._gateway.engine.still_holds(self._subject, self._answer, self._k)
        response = self._response if holds is self._answer else self._show(holds)
        scope.setdefault("state", {})[LAST_LOOK] = LastLook(
            lambda: self._gateway.engine.still_holds(self._subject, holds, self._k) is holds
        )
        await response(scope, receive, send)


def _response(answer: Recommendation) -> Response:
    view = RecommendationView(
        items=[ItemView(item_id=item.item_id, title=item.title, score=item.score) for item in answer.items],
        personalised=answer.personalised,
        fallback_reason=answer.fallback_reason,
        version=answer.version,
        generation=answer.generation,
        retriever=answer.retriever,
    )
    # No cache may keep personal answers: they would outlive a forget request.
    headers = {"Cache-Control": "private, no-store", "Lethe-Version": answer.version}
    return Response(view.model_dump_json(), media_type="application/json", headers=headers)


def _candidates(gateway: Gateway, named: list[str]) -> list[int] | None:
    """Indices of the candidates that a caller names. Items that the catalogue lacks are left out, as in an import, and
    items that were taken down.
    """
    if not named:
        return None
    most = gateway.engine.most_candidates or gateway.most_recommendations
    found = {index for item in named if (index := gateway.catalogue.index(item)) is not None}
    found -= gateway.engine.taken_down
    if len(found) > most:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "validation-failed", f"At most {most} candidates.", maximum=most
        )
    # Keep the caller's order, because the prompt shows the candidates in it.
    return list(dict.fromkeys(index for item in named if (index := gateway.catalogue.index(item)) in found))


def answer_for(gateway: Gateway, subject: str, k: int, candidates: list[int] | None = None) -> Recommendation:
    """What a subject is recommended now. Give it to nobody without `CheckedLast`.

    Raises:
        Problem: 503, too many requests wait for the model.
    """
    if gateway.engine.must_fall_back(subject):
        return gateway.engine.recommend(subject, (), k)
    try:
        history = _history(gateway, subject)
    except DatabaseUnavailable:
        # The lease on the feed has not lapsed, so the user may be personalised, but there is no history.
        return gateway.engine.fall_back(k, "no_history")
    retriever = None
    if candidates is None and history.events and gateway.retriever is not None:
        found = gateway.retriever.candidates(history.items, gateway.engine.most_candidates or 0)
        candidates, retriever = list(found.items), found.retriever
    if candidates == [] and history.events:
        return gateway.engine.fall_back(k, "no_candidates")
    try:
        answer = gateway.engine.recommend(subject, history.events, k, candidates=candidates)
        return replace(answer, retriever=retriever) if answer.personalised else answer
    except ServingOverloaded as error:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "overloaded",
            "Too many requests wait for the model; try again shortly.",
            headers={"Retry-After": str(error.retry_after_seconds)},
        ) from error


class _History(NamedTuple):
    """Item indices, oldest first, and the events that the model reads: none where it needs ratings and finds none."""

    items: list[int]
    events: list[int]


def _history(gateway: Gateway, subject: str) -> _History:
    engine, limit, index_of = gateway.engine, gateway.engine.history_limit, gateway.catalogue.index
    if not engine.needs_ratings:
        items = gateway.reader.read(lambda session: interactions.newest_items(session, subject, limit=limit))
        known = [index for item in items if (index := index_of(item)) is not None]
        return _History(known, known)
    rated = gateway.reader.read(
        lambda session: interactions.newest_rated_items(session, subject, limit=limit)
    )
    events = [(index, rating) for item, rating in rated if (index := index_of(item)) is not None]
    if all(rating is None for _, rating in events):
        return _History([], [])
    return _History([item for item, _ in events], [engine.event(*event) for event in events])
