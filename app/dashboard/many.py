"""An action on many requests at once: first how many and which, then one after the other, each with its result.

The page is sent while the work goes on: its rows arrive as requests are done. Who closes it stops the work after the
request that is being done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response

from app.api_keys.service import Scope
from app.dashboard.access import Viewer, form_of, only, viewer_with
from app.dashboard.actions import Offer, named
from app.dashboard.asked import Asked, asked
from app.dashboard.pages import PageRoute, render, rendered_in_parts
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.db.models import ForgetRequest
from app.dependencies import GatewayDependency
from app.errors import Problem, database_problem
from app.forget_requests import queries as forget_requests
from app.forget_requests import worklist
from app.forget_requests.worklist import Filter
from app.gateway import Gateway

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MayRead = Annotated[Viewer, Depends(viewer_with(Scope.FORGET_READ))]
# So many requests are acted on at once; the rest after another click.
MANY = 1000


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


@router.post("/dashboard/requests/{action}")
async def many(
    request: Request,
    action: str,
    gateway: GatewayDependency,
    viewer: MayRead,
    form: Annotated[dict[str, list[str]], Depends(form_of)],
    asked: Annotated[Asked, Depends(asked)],
) -> Response:
    """Say how many requests an action would be done to and which, and act once that number has been typed."""
    chosen = named(action, viewer)
    if not chosen.many:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", "This is done to one request at a time.")
    selected = frozenset(form.get("request", ())) if only(form, "which") == "selected" else None
    plan = await run_sync(partial(_plan, gateway, chosen, asked.filter, selected))
    typed = only(form, "typed").strip()
    acts = "typed" in form and typed == str(plan.matching) and plan.matching > 0
    show = rendered_in_parts if acts else render
    return show(
        request,
        "done.html" if acts else "many.html",
        viewer=viewer,
        now=plan.now,
        current="Worklist",
        action=chosen,
        plan=plan,
        selected=sorted(selected) if selected is not None else None,
        mistyped="typed" in form,
        # Each is done when the page gets to its row.
        results=_act(gateway, chosen, plan, viewer) if acts else None,
        back=asked.address(gateway.links.page()),
        again=asked.address(gateway.links.page(f"requests/{chosen.action}")),
    )


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


def _act(gateway: Gateway, action: Offer, plan: Plan, viewer: Viewer) -> Iterator[Result]:
    for one in plan.requests:
        try:
            done = action.take(gateway, one.id, viewer, None)
        except Problem as problem:
            yield Result(one.id, str(problem.extensions.get("status_now", "")), problem.detail)
        except DatabaseUnavailable as error:
            yield Result(one.id, "", database_problem(error).detail)
        else:
            yield Result(one.id, done.status, "")
