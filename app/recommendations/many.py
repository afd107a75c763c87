"""POST /recommend: many users in one request, with histories and candidates of the caller's own where there are any."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import to_json
from sqlalchemy.orm import Session
from starlette.types import Receive, Send
from starlette.types import Scope as ConnectionScope

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.db.errors import DatabaseUnavailable
from app.dependencies import GatewayDependency
from app.errors import Problem
from app.gateway import Gateway
from app.interactions.admission import Admission
from app.json_bodies import JsonRoute, require_names_once
from app.last_look import LAST_LOOK, LastLook
from app.problem_schema import problems
from app.recommendations.answering import answer_for, candidates_of, personalise, require_k
from app.recommendations.history_cache import History
from app.recommendations.many_schemas import (
    BODY_SCHEMA,
    MOST_OWN_EVENTS,
    ManyBody,
    RecommendResultsView,
    UserBody,
)
from app.recommendations.schemas import content_of
from app.serving import InferenceFailed, Recommendation

router = APIRouter(tags=["recommendations"], route_class=JsonRoute)

# So many users of one request wait for the model at a time, so that others need not wait for all of them.
_AT_A_TIME = 16


@dataclass(frozen=True)
class _Asked:
    """One user of the body, as a subject."""

    subject: str
    body: UserBody


@router.post(
    "/recommend",
    response_model=RecommendResultsView,
    responses=problems(),
    openapi_extra={"requestBody": BODY_SCHEMA},
)
async def recommend_many(
    request: Request,
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.RECOMMEND))],
) -> Response:
    """Recommendations for up to 100 users, each with a result of its own, in the order of the request.

    A user's history may come in the body, oldest event first, for callers who keep histories elsewhere. It is read in
    place of the stored one and is not stored. What the user has had forgotten is left out of it, and a suppressed user
    gets the popular items, whatever the body says.

    A user who cannot be answered has a problem in place of a recommendation, with the code that `GET /recommend` would
    have answered. If the model has too much to do for all of them, the whole answer is a 503. Answers that were
    personalised are held back together: if one of the users asks to be forgotten while the answer is being sent, the
    connection is closed, and the request may be sent again.
    """
    asked = await run_sync(_read, gateway, await request.body())
    own = {one.subject for one in asked if one.body.history is not None}
    admission = await _admission(gateway, own)
    turn = asyncio.Semaphore(_AT_A_TIME)

    async def one_result(one: _Asked) -> Recommendation | Problem:
        async with turn:
            return await _result(gateway, one, admission)

    results = await asyncio.gather(*map(one_result, asked))
    refused = [result for result in results if isinstance(result, Problem)]
    busy = [one for one in refused if one.status == HTTPStatus.SERVICE_UNAVAILABLE]
    if len(busy) == len(results):
        raise busy[-1]
    return _ManyCheckedLast(gateway, asked, results)


def _read(gateway: Gateway, content: bytes) -> list[_Asked]:
    """
    Raises:
        RequestValidationError: the body is not JSON, or does not have the expected structure.
        Problem: 422, the histories have more events than one request may hold.
    """
    require_names_once(content)
    try:
        body = ManyBody.model_validate_json(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in found]) from None
    if sum(len(user.history or ()) for user in body.users) > MOST_OWN_EVENTS:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "validation-failed",
            f"At most {MOST_OWN_EVENTS} events of all histories together.",
            maximum=MOST_OWN_EVENTS,
        )
    return [_Asked(gateway.subject_key.subject(user.user_id), user) for user in body.users]


async def _admission(gateway: Gateway, subjects: set[str]) -> Admission | None:
    """What these subjects have had forgotten; None if the database does not say."""
    if not subjects:
        return None

    def ask(session: Session) -> Admission:
        return Admission.of(session, subjects)

    try:
        return await gateway.reader.read_soon(ask)
    except DatabaseUnavailable:
        return None


async def _result(gateway: Gateway, one: _Asked, admission: Admission | None) -> Recommendation | Problem:
    body = one.body
    try:
        require_k(gateway, body.k)
        candidates = None if body.candidates is None else candidates_of(gateway, body.candidates)
        if body.history is None:
            return await answer_for(gateway, one.subject, body.k, candidates)
        if gateway.engine.reason_to_fall_back(one.subject) is not None:
            return await gateway.engine.recommend_soon(one.subject, (), body.k)
        if admission is None:
            return gateway.engine.fall_back(body.k, "no_history")
        history = _own_history(gateway, one, admission)
        return await personalise(gateway, one.subject, history, body.k, candidates)
    except Problem as problem:
        return problem
    except InferenceFailed:
        return Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "The model failed on this batch of users."
        )


def _own_history(gateway: Gateway, one: _Asked, admission: Admission) -> History:
    """The history in the body, without what the user has had forgotten, without items that the catalogue lacks, and
    without items that were taken down.
    """
    assert one.body.history is not None
    catalogue, engine = gateway.catalogue, gateway.engine
    taken = engine.taken_down
    events = [
        (index, event.rating)
        for event in one.body.history
        if (index := catalogue.index(event.item_id)) is not None
        and index not in taken
        and admission.admits(one.subject, catalogue.item_ids[index], event.timestamp)
    ][-engine.config.history_limit :]
    if not engine.needs_ratings:
        items = tuple(index for index, _ in events)
        return History(items, items)
    if all(rating is None for _, rating in events):
        return History((), ())
    return History(tuple(index for index, _ in events), tuple(engine.event(*event) for event in events))


class _ManyCheckedLast(Response):
    """Asks the engine again about each user, before the answer is sent and around each write (`app.last_look`)."""

    def __init__(
        self, gateway: Gateway, asked: Sequence[_Asked], results: Sequence[Recommendation | Problem]
    ) -> None:
        super().__init__()
        self._gateway, self._asked, self._results = gateway, asked, results

    async def __call__(self, scope: ConnectionScope, receive: Receive, send: Send) -> None:
        engine = self._gateway.engine
        held = [
            result if isinstance(result, Problem) else engine.still_holds(one.subject, result, one.body.k)
            for one, result in zip(self._asked, self._results, strict=True)
        ]
        # Those of the fallback too: an item may be taken down.
        given = [
            (one.subject, result, one.body.k)
            for one, result in zip(self._asked, held, strict=True)
            if isinstance(result, Recommendation)
        ]
        if given:
            scope.setdefault("state", {})[LAST_LOOK] = LastLook(
                lambda: all(engine.still_holds(*one) is one[1] for one in given)
            )
        await _response(held)(scope, receive, send)


def _response(results: Sequence[Recommendation | Problem]) -> Response:
    content: list[dict[str, Any]] = [
        {"recommendation": None, "problem": _refusal(result)}
        if isinstance(result, Problem)
        else {"recommendation": content_of(result), "problem": None}
        for result in results
    ]
    # No cache may keep personal answers: they would outlive a forget request.
    headers = {"Cache-Control": "private, no-store"}
    return Response(to_json({"results": content}), media_type="application/json", headers=headers)


def _refusal(problem: Problem) -> dict[str, Any]:
    after = problem.headers.get("Retry-After")
    return {
        "code": problem.slug,
        "detail": problem.detail,
        "retry_after_seconds": None if after is None else int(after),
    }
