"""GET /recommend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic_core import to_json
from starlette.types import Receive, Send
from starlette.types import Scope as ConnectionScope

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.dependencies import GatewayDependency
from app.fields import IdInQuery
from app.gateway import Gateway
from app.json_bodies import JsonRoute
from app.last_look import LAST_LOOK, LastLook
from app.problem_schema import problems
from app.recommendations.answering import answer_for, candidates_of, require_k
from app.recommendations.many import router as many
from app.recommendations.schemas import RecommendationView, content_of
from app.serving import Recommendation

router = APIRouter(tags=["recommendations"], route_class=JsonRoute)

# Not a `default_factory`, whose signature pydantic would look at for each request.
_NOBODY_NAMED: list[str] = []


@router.get("/recommend", response_model=RecommendationView, responses=problems())
async def recommend(
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.RECOMMEND))],
    user_id: Annotated[IdInQuery, Query(description="percent-encoded, a plus sign in it as %2B")],
    candidate: Annotated[
        list[IdInQuery],
        Query(
            description="rank these items only, one parameter each; "
            "those that the catalogue lacks, or that were taken down, are left out",
        ),
    ] = _NOBODY_NAMED,
    k: Annotated[int, Query(ge=1, description="how many items")] = 10,
) -> Response:
    """The k items that the user is most likely to want next, without items that the user has seen.

    A model that ranks the whole catalogue needs no candidates. A model that reads titles ranks some candidates: as many
    as it has letters, or as its style says. They are those of the caller, or else those of the built-in retriever.

    Suppressed and unknown users all get the same popular items, labelled as such. Every answer names the version that
    computed it. No answer names an item that was taken down.
    """
    require_k(gateway, k)
    candidates = candidates_of(gateway, candidate) if candidate else None
    subject = gateway.subject_key.subject(user_id)
    return CheckedLast(gateway, subject, await answer_for(gateway, subject, k, candidates), k, _response)


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
    # No cache may keep personal answers: they would outlive a forget request.
    headers = {"Cache-Control": "private, no-store", "Lethe-Version": answer.version}
    return Response(to_json(content_of(answer)), media_type="application/json", headers=headers)


router.include_router(many)
