"""GET /dashboard/requests/ID: everything about one forget request, and what may be done with it now."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api_keys.service import Scope
from app.attempts import queries as attempts
from app.audit import queries as audit
from app.dashboard.access import Viewer, form_of, viewer_with
from app.dashboard.actions import named, offered
from app.dashboard.measures import of_request_attempt
from app.dashboard.neighbour import of_subject
from app.dashboard.pages import PageRoute, go_to, render
from app.dashboard.timeline import happenings, stages
from app.db.clock import database_now
from app.db.models import Version
from app.db.models.statuses import SETTLED
from app.dependencies import GatewayDependency
from app.errors import not_found
from app.forget_requests import duties
from app.forget_requests import queries as forget_requests
from app.forget_requests.endpoints import RequestId
from app.forget_requests.schemas import ForgetRequestDetail
from app.replicas.queries import live_replicas
from app.runs import forecast
from app.targets import service as targets
from app.versions import queries as versions
from app.versions.parts import of_request

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MayRead = Annotated[Viewer, Depends(viewer_with(Scope.FORGET_READ))]


@router.get("/dashboard/requests/{request_id}")
def show(request: Request, request_id: RequestId, gateway: GatewayDependency, viewer: MayRead) -> Response:
    with gateway.database.read() as session:
        found = forget_requests.find(session, request_id)
        if found is None:
            raise not_found("forget request")
        now = database_now(session)
        tried = attempts.of_request(session, found.id)
        told = targets.of_request(session, found.id)
        detail = ForgetRequestDetail.with_attempts(
            found,
            tried,
            attempts.skipped_for_request(session, found.id),
            gateway.links,
            now,
            gateway.request_policy,
            duties.of_request(session, found, told),
            of_request(session, found, gateway.surroundings),
            told,
            forecast.of_request(session, found, now, requests_per_run=gateway.settings.max_subjects_per_run),
        )
        happened = happenings(audit.of_request(session, found))
        made = None if found.run_id is None else versions.of_run(session, found.run_id)
        before = (
            None if made is None or made.parent_digest is None else session.get(Version, made.parent_digest)
        )
        replicas = live_replicas(session, now=now, timeout=gateway.replica_timeout)
    return render(
        request,
        "request.html",
        viewer=viewer,
        now=now,
        current="Worklist",
        item=detail,
        requested_by=found.requested_by,
        reason=found.reason,
        attempts=[of_request_attempt(attempt) for attempt in detail.attempts],
        happened=happened,
        stages=stages(happened, now, SETTLED),
        made=made,
        before=before,
        replicas=replicas,
        enforcing=[]
        if found.verify_until is not None
        else [replica for replica in replicas if replica.epoch >= found.epoch],
        offers=offered(detail.actions, viewer),
        recommended=of_subject(gateway, found.subject_hmac) if viewer.may(Scope.RECOMMEND) else None,
        receipts=[
            kind
            for kind, link in (
                ("acceptance", detail.receipts.acceptance),
                ("completion", detail.receipts.completion),
            )
            if link and viewer.may(Scope.RECEIPTS_READ)
        ],
        api=str(request.base_url).rstrip("/"),
        host=f"{request.url.scheme}://{request.url.netloc}",
    )


@router.post("/dashboard/requests/{request_id}/{action}")
async def act(
    request_id: RequestId,
    action: str,
    gateway: GatewayDependency,
    viewer: MayRead,
    form: Annotated[dict[str, list[str]], Depends(form_of)],
) -> Response:
    """Take an action that the page offers."""
    offer = named(action, viewer)
    await gateway.write(partial(offer.take, gateway, request_id, viewer, offer.read(form)))
    return go_to(gateway.links.page(f"requests/{request_id}"))
