"""GET /forget-requests: the worklist, page by page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.db.clock import database_now
from app.db.models import RequestStatus
from app.dependencies import GatewayDependency
from app.fields import Instant
from app.forget_requests.listing import CURSOR, Cursor, Wanted, page
from app.forget_requests.schemas import ForgetRequestView
from app.json_bodies import JsonRoute
from app.problem_schema import problems

router = APIRouter(tags=["forget"], route_class=JsonRoute)


class ForgetRequestPage(BaseModel):
    """Some forget requests. ``next_cursor`` is null on the last page."""

    forget_requests: list[ForgetRequestView]
    next_cursor: str | None = Field(description="for the parameter `cursor` of the next call")


@router.get("/forget-requests", responses=problems())
def list_forget_requests(
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.FORGET_READ))],
    status: Annotated[
        list[RequestStatus], Query(default_factory=list, description="these states only, one parameter each")
    ],
    overdue: Annotated[
        bool | None, Query(description="only those that missed their deadline (true) or did not (false)")
    ] = None,
    stalled: Annotated[
        bool | None,
        Query(description="only those that have stayed too long in their state (true) or have not"),
    ] = None,
    client_reference: Annotated[
        str | None,
        Query(max_length=64, pattern=r"^[A-Za-z0-9._-]+$", description="the caller's own ticket number"),
    ] = None,
    received_from: Annotated[Instant | None, Query(description="received at this instant or later")] = None,
    received_before: Annotated[Instant | None, Query(description="received before this instant")] = None,
    cursor: Annotated[
        str | None, Query(pattern=CURSOR, description="`next_cursor` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="requests on a page")] = 50,
) -> ForgetRequestPage:
    """List forget requests by the time left: unfinished ones first, the nearest deadline first.

    A request that changes while the pages are read can be missing or come twice.
    """
    wanted = Wanted(
        statuses=frozenset(status),
        overdue=overdue,
        stalled=stalled,
        longest=gateway.request_policy.longest_hours,
        client_reference=client_reference,
        received_from=received_from,
        received_before=received_before,
    )
    after = None if cursor is None else Cursor.decoded(cursor)
    with gateway.database.read() as session:
        now = database_now(session)
        found = page(session, wanted, after=after, limit=limit, now=now)
    return ForgetRequestPage(
        forget_requests=[
            ForgetRequestView.of(request, gateway.links, now, gateway.request_policy)
            for request in found.requests
        ],
        next_cursor=found.next.encoded() if found.next else None,
    )
