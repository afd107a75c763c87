"""GET /: the worklist by time left, with counters, filters, search, and actions on many requests at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Request, Response

from app.api_keys.service import Scope
from app.dashboard import cursors
from app.dashboard.access import Viewer, form_of, only, viewer_with
from app.dashboard.actions import OFFERS, Offer, named
from app.dashboard.pages import PageRoute, addressed, go_to, render
from app.db.clock import database_now
from app.db.models import ForgetRequest, RequestStatus
from app.db.models.statuses import SETTLED
from app.dependencies import GatewayDependency
from app.errors import Problem
from app.forget_requests import queries as forget_requests
from app.forget_requests import worklist
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
# So many requests are acted on at once; the rest after another click.
MANY = 200
_FOUND = 20


@dataclass(frozen=True)
class Asked:
    """The filter and the place in the list, as the address has them."""

    filter: Filter
    after: worklist.Place | None

    def address(self, path: str, **changed: Any) -> str:
        """The same filter in an address; without a place, so from the beginning."""
        wanted = replace(self.filter, **changed)
        return addressed(
            path,
            status=[str(status) for status in wanted.statuses],
            due=str(wanted.due or ""),
            reason=wanted.reason,
            reference=wanted.reference,
            subject=wanted.subject,
        )


def asked(
    status: Annotated[list[RequestStatus | Literal[""]] | None, Query()] = None,
    due: Due | Literal[""] = "",
    reason: Annotated[str, Query(pattern=r"^[A-Za-z0-9_]{0,40}$")] = "",
    reference: Annotated[str, Query(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = "",
    subject: Annotated[str, Query(pattern=r"^(s_[0-9a-f]{1,12})?$")] = "",
    after: Annotated[str, Query(max_length=40)] = "",
) -> Asked:
    # A form sends what is not chosen as an empty value.
    statuses = tuple(one for one in status or () if isinstance(one, RequestStatus))
    return Asked(Filter(statuses, due or None, reason, reference, subject), cursors.decode(after))


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
    return await run_sync(partial(_page, request, gateway, viewer, Asked(Filter(), None), nothing_found=True))


@router.post("/dashboard/requests/{action}")
async def many(
    request: Request,
    action: str,
    gateway: GatewayDependency,
    viewer: MayRead,
    form: Form,
    asked: Annotated[Asked, Depends(asked)],
) -> Response:
    """Act on many requests: first say how many and which, and act once that number has been typed."""
    chosen = named(action, viewer)
    if not chosen.many:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", "This is done to one request at a time.")
    selected = frozenset(form.get("request", ())) if only(form, "which") == "selected" else None
    plan = await run_sync(partial(_plan, gateway, chosen, asked.filter, selected))
    typed, results = only(form, "typed").strip(), None
    if "typed" in form and typed == str(plan.matching) and plan.matching:
        results = await gateway.write(partial(_act, gateway, chosen, plan, viewer))
    return render(
        request,
        "many.html",
        viewer=viewer,
        now=plan.now,
        current="Worklist",
        action=chosen,
        plan=plan,
        selected=sorted(selected) if selected is not None else None,
        mistyped="typed" in form and results is None,
        results=results,
        back=asked.address(gateway.links.page()),
        again=asked.address(gateway.links.page(f"requests/{chosen.action}")),
    )


@dataclass(frozen=True)
class Plan:
    """What an action would be done to. ``matching`` counts all, ``requests`` are those of this turn."""

    matching: int
    reasons: dict[str, int]
    requests: tuple[ForgetRequest, ...]
    now: datetime


@dataclass(frozen=True)
class Result:
    """What became of one request. ``problem`` is empty if the action was done."""

    request: str
    status: str
    problem: str


def _page(
    request: Request, gateway: Gateway, viewer: Viewer, asked: Asked, *, nothing_found: bool = False
) -> Response:
    with gateway.database.read() as session:
        now = database_now(session)
        rows = worklist.page(session, asked.filter, now, limit=_SHOWN + 1, after=asked.after)
        matching = worklist.matching(session, asked.filter, now)
        counts, by_status = worklist.counts(session, now), forget_requests.counts(session, now).by_status
        reasons = worklist.reasons(session)
        stands = standing(session, now, patience=timedelta(seconds=gateway.settings.redispatch_seconds))
    shown = rows[:_SHOWN]
    last = shown[-1] if len(rows) > _SHOWN else None
    address = asked.address(gateway.links.page())
    views = [ForgetRequestView.of(row, gateway.links, now) for row in shown]
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
        by_status=by_status,
        statuses=list(RequestStatus),
        done_statuses=SETTLED,
        dues=list(Due),
        reasons=reasons,
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


def _plan(gateway: Gateway, action: Offer, filter_: Filter, selected: frozenset[str] | None) -> Plan:
    statuses = tuple(
        status for status in action.before() if not filter_.statuses or status in filter_.statuses
    )
    with gateway.database.read() as session:
        now = database_now(session)
        if selected is not None:
            found = [forget_requests.find(session, one) for one in sorted(selected)]
            requests = [one for one in found if one is not None and one.status in action.before()]
            matching = len(requests)
        elif statuses:
            narrowed = replace(filter_, statuses=statuses)
            requests = list(worklist.page(session, narrowed, now, limit=MANY))
            matching = worklist.matching(session, narrowed, now)
        else:
            requests, matching = [], 0
    reasons: dict[str, int] = {}
    for one in requests:
        reasons[one.detail_code or ""] = reasons.get(one.detail_code or "", 0) + 1
    return Plan(matching, reasons, tuple(requests[:MANY]), now)


def _act(gateway: Gateway, action: Offer, plan: Plan, viewer: Viewer) -> list[Result]:
    results = []
    for one in plan.requests:
        try:
            done = action.take(gateway, one.id, viewer, None)
        except Problem as problem:
            results.append(Result(one.id, str(problem.extensions.get("status_now", "")), problem.detail))
        else:
            results.append(Result(one.id, done.status, ""))
    return results
