"""What is recommended now: to the subject of a request, and to somebody else whom a person names.

A subject is never personalised for again, on no page either (invariant I2): their part is what every caller gets, the
fallback, and the model is not asked. Whom somebody names is answered as by `GET /recommend`, and not kept: the list
that a later one is compared with lies in the form of the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api_keys.service import Scope
from app.dashboard.access import Viewer, form_of, only, viewer_with
from app.dashboard.pages import PageRoute, render
from app.db.base import utc_now
from app.dependencies import GatewayDependency
from app.errors import Problem
from app.forget_requests.endpoints import RequestId
from app.gateway import Gateway
from app.recommendations.answering import answer_for
from app.recommendations.endpoints import CheckedLast
from app.serving.recommendation import RankedItem, Recommendation
from app.subjects import subject_reference
from inputs import InvalidInput

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SHOWN = 10


def of_subject(gateway: Gateway, subject: str) -> Recommendation | None:
    """What the subject gets as long as they are not personalised for, with the reason; None if they may be again."""
    reason = gateway.engine.reason_to_fall_back(subject)
    return None if reason is None else gateway.engine.fall_back(_most(gateway), reason)


@router.post("/dashboard/requests/{request_id}/neighbour")
async def ask(
    request: Request,
    request_id: RequestId,
    gateway: GatewayDependency,
    viewer: Annotated[Viewer, Depends(viewer_with(Scope.RECOMMEND))],
    form: Annotated[dict[str, list[str]], Depends(form_of)],
) -> Response:
    """Show what a user gets now, beside the list that this page has shown before. No address and no log has the id."""
    name = only(form, "user").strip()
    try:
        subject = gateway.subject_key.subject(name)
    except InvalidInput as error:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "validation-failed", "No user can have this id."
        ) from error
    answer = await answer_for(gateway, subject, _most(gateway))
    # Lists of two people are not compared. The page has the short name of a subject, and no id.
    of = subject_reference(subject)
    same = only(form, "of") == of
    before = form.get("before", [])[:SHOWN] if same else []
    show = partial(
        _page,
        gateway,
        request,
        viewer,
        request_id,
        before=before,
        before_version=only(form, "before_version")[:64],
        of=of,
    )
    return CheckedLast(gateway, subject, answer, _most(gateway), show)


def _page(
    gateway: Gateway,
    request: Request,
    viewer: Viewer,
    request_id: str,
    answer: Recommendation,
    *,
    before: Sequence[str],
    before_version: str,
    of: str,
) -> Response:
    """``before`` are the item ids of the earlier list. The browser may have kept it for long: it is looked at as the
    answer is, and nothing of it is shown of somebody who may no longer be personalised for.
    """
    earlier = [] if not answer.personalised else _still_named(gateway, before)
    page = render(
        request,
        "neighbour.html",
        viewer=viewer,
        now=utc_now(),
        current="Worklist",
        request_id=request_id,
        answer=answer,
        items=[(item, _moved(item, place, list(earlier))) for place, item in enumerate(answer.items)],
        before=earlier,
        before_version=before_version,
        of=of,
    )
    page.headers["Cache-Control"] = "private, no-store"
    return page


def _still_named(gateway: Gateway, item_ids: Sequence[str]) -> dict[str, str]:
    """Titles by item id, in order, without items that were taken down since or that the catalogue lacks."""
    catalogue, taken = gateway.catalogue, gateway.engine.taken_down
    found = ((one, catalogue.index(one)) for one in item_ids)
    return {one: catalogue.titles[index] for one, index in found if index is not None and index not in taken}


def _moved(item: RankedItem, place: int, before: Sequence[str]) -> str:
    """How an item's place differs from the one that it had before."""
    if not before:
        return ""
    if item.item_id not in before:
        return "new"
    up = before.index(item.item_id) - place
    return "same place" if up == 0 else f"{abs(up)} up" if up > 0 else f"{-up} down"


def _most(gateway: Gateway) -> int:
    return min(SHOWN, gateway.most_recommendations)
