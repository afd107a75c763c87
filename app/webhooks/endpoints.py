"""Webhook endpoints and their deliveries, for those who manage them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.audit.transaction import Transaction
from app.db.models import DeliveryState, EndpointState, WebhookDelivery, WebhookEndpoint, WebhookProtocol
from app.dependencies import GatewayDependency
from app.errors import Problem, not_found, value_refused
from app.gateway import Gateway
from app.idempotency.once import Once, OnceRequest, respond
from app.json_bodies import JsonRoute
from app.problem_schema import problems
from app.webhooks import queries
from app.webhooks import service as webhooks
from app.webhooks.addresses import UrlRefused, parse_target
from app.webhooks.deliverer import Deliverer
from app.webhooks.schemas import (
    DeliveryList,
    DeliveryView,
    EndpointId,
    EndpointList,
    EndpointView,
    RegisterBody,
    RegisteredView,
    ReplayBody,
    ReplayedView,
)

router = APIRouter(tags=["webhooks"], route_class=JsonRoute)

MayManage = Annotated[Caller, Depends(require(Scope.WEBHOOKS_MANAGE))]
EndpointPath = Annotated[str, Path(pattern=r"^we_[0-9a-f]{32}$")]
DeliveryPath = Annotated[str, Path(pattern=r"^wd_[0-9a-f]{32}$")]


@router.post("/webhook-endpoints", status_code=HTTPStatus.CREATED, responses=problems(409))
async def register_webhook_endpoint(
    body: RegisterBody, response: Response, gateway: GatewayDependency, caller: MayManage
) -> RegisteredView:
    """Register an endpoint for public events.

    The answer has the endpoint's secret, which is never shown again. The endpoint is then sent a signed message of the
    type `webhook.challenge`. It becomes active when it answers 2xx with `{"challenge": …}`, the challenge of that
    message, and is then told of all events since its registration.

    An endpoint of the protocol `opendsr` is active at once, and is told only of requests that name its URL.
    """
    if body.protocol is WebhookProtocol.OPENDSR:
        _require_opendsr(gateway, body)
    deliverer = _deliverer(gateway)
    try:
        target = parse_target(body.url, private=gateway.settings.allow_private_webhooks)
    except UrlRefused as error:
        raise value_refused("/body/url", error.code, f"The URL {error}.") from error
    try:
        endpoint = await gateway.write(partial(_register, gateway, caller, body, target.url))
    except webhooks.NameTaken as error:
        raise Problem(HTTPStatus.CONFLICT, "name-taken", "Another endpoint has this name.") from error
    except webhooks.TooManyEndpoints as error:
        raise Problem(
            HTTPStatus.CONFLICT, "too-many-endpoints", "Remove an endpoint before you register another one."
        ) from error
    deliverer.wake()
    response.headers["Location"] = gateway.links.webhook_endpoint(endpoint.id)
    view = EndpointView.of(endpoint).model_dump()
    signer = deliverer.signer
    return RegisteredView(
        **view, secret=signer.secret(endpoint.id), public_key=signer.public_key(endpoint.id)
    )


@router.get("/webhook-endpoints", responses=problems())
def list_webhook_endpoints(gateway: GatewayDependency, _caller: MayManage) -> EndpointList:
    """List the registered endpoints."""
    with gateway.database.read() as session:
        return EndpointList(endpoints=[EndpointView.of(one) for one in queries.endpoints(session)])


@router.get("/webhook-endpoints/{endpoint_id:path}", responses=problems(404))
def read_webhook_endpoint(
    endpoint_id: EndpointPath, gateway: GatewayDependency, _caller: MayManage
) -> EndpointView:
    """Read one endpoint."""
    with gateway.database.read() as session:
        endpoint = queries.find_endpoint(session, endpoint_id)
        if endpoint is None:
            raise not_found("webhook endpoint")
        return EndpointView.of(endpoint)


@router.delete(
    "/webhook-endpoints/{endpoint_id:path}", status_code=HTTPStatus.NO_CONTENT, responses=problems(404, 409)
)
async def remove_webhook_endpoint(endpoint_id: EndpointPath, caller: MayManage, once: Once) -> Response:
    """Remove an endpoint with its deliveries. An attempt that is under way may still arrive."""

    def work(transaction: Transaction, endpoint: WebhookEndpoint) -> Response:
        webhooks.remove(transaction, endpoint, actor=caller.name)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return await once.write(partial(_with_endpoint, once, endpoint_id, work))


@router.post(
    "/webhook-endpoints/{endpoint_id:path}/challenge",
    status_code=HTTPStatus.ACCEPTED,
    response_model=EndpointView,
    responses=problems(404, 409),
)
async def challenge_webhook_endpoint(
    endpoint_id: EndpointPath, gateway: GatewayDependency, caller: MayManage, once: Once
) -> Response:
    """Send another challenge to an endpoint that is not active.

    Once it answers, it is also told what happened meanwhile, as far as that is still kept. An endpoint of the protocol
    `opendsr` is active again without a challenge.
    """
    deliverer = _deliverer(gateway)

    def work(transaction: Transaction, endpoint: WebhookEndpoint) -> Response:
        if endpoint.state == EndpointState.ACTIVE:
            raise Problem(
                HTTPStatus.CONFLICT,
                "illegal-transition",
                "The endpoint is active.",
                status_now=str(endpoint.state),
            )
        webhooks.challenge_again(transaction, endpoint, actor=caller.name, now=transaction.now())
        return respond(EndpointView.of(endpoint), HTTPStatus.ACCEPTED)

    answer = await once.write(partial(_with_endpoint, once, endpoint_id, work))
    deliverer.wake()
    return answer


@router.post(
    "/webhook-endpoints/{endpoint_id:path}/replay",
    status_code=HTTPStatus.ACCEPTED,
    response_model=ReplayedView,
    responses=problems(404, 409),
)
async def replay_webhook_events(
    endpoint_id: EndpointPath, body: ReplayBody, caller: MayManage, once: Once
) -> Response:
    """Send all events of a range again that the endpoint wants and that are still kept."""

    def work(transaction: Transaction, endpoint: WebhookEndpoint) -> Response:
        now, actor = transaction.now(), caller.name
        sent = webhooks.replay(transaction, endpoint, first=body.first, last=body.last, actor=actor, now=now)
        return respond(ReplayedView(events=sent), HTTPStatus.ACCEPTED)

    return await once.write(partial(_with_endpoint, once, endpoint_id, work))


@router.get("/webhook-deliveries", responses=problems())
def list_webhook_deliveries(
    gateway: GatewayDependency,
    _caller: MayManage,
    endpoint: Annotated[EndpointId | None, Query()] = None,
    state: DeliveryState | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> DeliveryList:
    """List deliveries, the newest first."""
    with gateway.database.read() as session:
        found = queries.deliveries(session, endpoint=endpoint, state=state, limit=limit)
        return DeliveryList(deliveries=[DeliveryView.of(one) for one in found])


@router.post(
    "/webhook-deliveries/{delivery_id:path}/redeliver",
    status_code=HTTPStatus.ACCEPTED,
    response_model=DeliveryView,
    responses=problems(404, 409),
)
async def redeliver_webhook(delivery_id: DeliveryPath, caller: MayManage, once: Once) -> Response:
    """Send an event to its endpoint again, whether or not it had arrived."""
    return await once.write(partial(_redeliver, once, caller, delivery_id))


def _deliverer(gateway: Gateway) -> Deliverer:
    if gateway.deliverer is None:
        raise Problem(
            HTTPStatus.CONFLICT, "webhooks-off", "Webhooks are off: this gateway has no LETHE_WEBHOOK_KEY."
        )
    return gateway.deliverer


def _require_opendsr(gateway: Gateway, body: RegisterBody) -> None:
    if gateway.processor is None:
        raise Problem(HTTPStatus.CONFLICT, "opendsr-off", "OpenDSR is off: callbacks could not be signed.")
    if body.events or body.recipient is not None:
        said = "OpenDSR has neither names of events nor notices to recipients."
        raise value_refused("/body/protocol", "not_for_opendsr", said)


def _register(gateway: Gateway, caller: Caller, body: RegisterBody, url: str) -> WebhookEndpoint:
    with gateway.transaction() as transaction:
        return webhooks.register(
            transaction,
            name=body.name,
            url=url,
            events=[str(name) for name in body.events],
            recipient=body.recipient,
            protocol=body.protocol,
            actor=caller.name,
            now=transaction.now(),
        )


def _with_endpoint(
    once: OnceRequest, endpoint_id: str, work: Callable[[Transaction, WebhookEndpoint], Response]
) -> Response:
    with once.transaction() as transaction:
        endpoint = transaction.session.get(WebhookEndpoint, endpoint_id, with_for_update=True)
        if endpoint is None:
            raise not_found("webhook endpoint")
        return once.keep(transaction, work(transaction, endpoint))


def _redeliver(once: OnceRequest, caller: Caller, delivery_id: str) -> Response:
    with once.transaction() as transaction:
        delivery = transaction.session.get(WebhookDelivery, delivery_id, with_for_update=True)
        if delivery is None:
            raise not_found("webhook delivery")
        try:
            webhooks.redeliver(transaction, delivery, actor=caller.name, now=transaction.now())
        except webhooks.NotKept as error:
            raise Problem(
                HTTPStatus.CONFLICT, "event-not-kept", "There is no event any more to send again."
            ) from error
        return once.keep(transaction, respond(DeliveryView.of(delivery), HTTPStatus.ACCEPTED))
