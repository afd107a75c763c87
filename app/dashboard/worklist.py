"""GET /: the worklist by time left, with counters, filters and search."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response

from app.api_keys.service import Scope
from app.clock.deadlines import Regime
from app.dashboard import cursors
from app.dashboard.access import Viewer, form_of, only, viewer_with
from app.dashboard.actions import OFFERS, Offer
from app.dashboard.asked import Asked, asked
from app.dashboard.pages import PageRoute, addressed, go_to, render
from app.db.clock import database_now
from app.db.models import ForgetRequest, RequestStatus, RunStage
from app.db.models.statuses import SETTLED
from app.dependencies import GatewayDependency
from app.forget_requests import dwelling, worklist
from app.forget_requests import queries as forget_requests
from app.forget_requests.schemas import ForgetRequestView
from app.forget_requests.worklist import Due, Filter
from app.gateway import Gateway
from app.runs.standing import standing
from app.subjects import subject_reference
from inputs import InvalidInput

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MayRead = Annotated[Viewer, Depends(viewer_with(Scope.FORGET_READ))]
Form = Annotated[dict[str, list[str]], Depends(form_of)]
_SHOWN = 50
_FOUND = 20


@router.get("/")
def show(
    request: Request, gateway: GatewayDependency, viewer: MayRead, asked: Annotated[Asked, Depends(asked)]
) -> Response:
    return _page(request, gateway, viewer, asked)


@router.post("/dashboard/search")
async def search(request: Request, gateway: GatewayDependency, viewer: MayRead, form: Form) -> Response:
    """Find requests by id, by client reference, or by a user's id. No address and no log contains what was typed."""
    name = only(form, "name").strip()
    found = await run_sync(partial(_named, gateway, name))
    links = gateway.links
    if len(found) == 1:
        return go_to(links.page(f"requests/{found[0].id}"))
    if len({one.subject_hmac for one in found}) == 1:
        statuses = [status.value for status in RequestStatus]
        return go_to(
            addressed(links.page(), subject=subject_reference(found[0].subject_hmac), status=statuses)
        )
    if found:
        # Only a client's reference names requests of several people.
        return go_to(
            addressed(links.page(), reference=name, status=[status.value for status in RequestStatus])
        )
    return await run_sync(partial(_page, request, gateway, viewer, Asked(Filter()), nothing_found=True))


def _page(
    request: Request, gateway: Gateway, viewer: Viewer, asked: Asked, *, nothing_found: bool = False
) -> Response:
    with gateway.database.read() as session:
        now = database_now(session)
        rows = worklist.page(session, asked.filter, now, limit=_SHOWN + 1, after=asked.after)
        matching = worklist.matching(session, asked.filter, now)
        stalled = sum(dwelling.counts(session, gateway.request_policy.longest_hours, now).values())
        counts, by_status = worklist.counts(session, now), forget_requests.counts(session, now).by_status
        reasons = worklist.reasons(session)
        stands = standing(session, now, patience=timedelta(seconds=gateway.settings.redispatch_seconds))
    shown = rows[:_SHOWN]
    last = shown[-1] if len(rows) > _SHOWN else None
    address = asked.address(gateway.links.page())
    views = [ForgetRequestView.of(row, gateway.links, now, gateway.request_policy) for row in shown]
    offered = [
        offer
        for action, offer in OFFERS.items()
        if offer.many
        and viewer.may(offer.scope)
        and viewer.token is not None
        and any(action in view.actions for view in views)
    ]
    return render(
        request,
        "worklist.html",
        viewer=viewer,
        now=now,
        current="Worklist",
        asked=asked,
        address=partial(asked.address, gateway.links.page()),
        counts=counts,
        stalled=stalled,
        by_status=by_status,
        statuses=list(RequestStatus),
        done_statuses=SETTLED,
        dues=list(Due),
        reasons=reasons,
        stages=list(RunStage),
        regimes=list(Regime),
        rows=views,
        at_risk_days=worklist.AT_RISK.days,
        at_risk_seconds=worklist.AT_RISK.total_seconds(),
        matching=matching,
        more=None if last is None else _further(address, last),
        offered=offered,
        many=partial(_many_address, asked, gateway),
        standing=stands,
        nothing_found=nothing_found,
    )


def _further(address: str, last: ForgetRequest) -> str:
    mark = cursors.encode(last.due_at, last.epoch)
    return f"{address}{'&' if '?' in address else '?'}after={mark}"


def _many_address(asked: Asked, gateway: Gateway, offer: Offer) -> str:
    return asked.address(gateway.links.page(f"requests/{offer.action}"))


def _named(gateway: Gateway, name: str) -> list[ForgetRequest]:
    try:
        subject = gateway.subject_key.subject(name)
    except InvalidInput:
        return []
    with gateway.database.read() as session:
        return list(worklist.named(session, name, subject, limit=_FOUND))
