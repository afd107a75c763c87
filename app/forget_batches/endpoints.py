"""POST /forget-batches, what it would do, and what became of each item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from app import json_lines
from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.clock.deadlines import Regime
from app.db.clock import database_now
from app.db.models import ForgetBatch
from app.dependencies import GatewayDependency
from app.errors import not_found
from app.forget_batches import queries
from app.forget_batches import service as batches
from app.forget_batches.items import Item, read_items
from app.forget_batches.schemas import (
    BatchDetail,
    BatchItemsView,
    BatchItemView,
    BatchView,
    TrialItemView,
    TrialResult,
    TrialView,
    body_schema,
)
from app.forget_batches.service import SLICE, Wanted
from app.forget_batches.trial import Trial
from app.forget_requests.endpoints import asked_by
from app.gateway import Gateway
from app.idempotency.once import KEY_PARAMETER, KeyedOnce, OnceRequest, require_same, respond
from app.idempotency.service import KEPT_FOR
from app.json_bodies import JsonRoute
from app.problem_schema import problems
from app.subjects import SubjectKey

router = APIRouter(tags=["forget"], route_class=JsonRoute)

BatchId = Annotated[str, Path(pattern=r"^fb_[0-9a-f]{32}$")]
MayForget = Annotated[Caller, Depends(require(Scope.FORGET_CREATE))]
# Reads the items that were sent.
Sent = Callable[[SubjectKey], list[Item]]
MayRead = Annotated[Caller, Depends(require(Scope.FORGET_READ))]


@router.post(
    "/forget-batches",
    status_code=HTTPStatus.ACCEPTED,
    response_model=BatchDetail,
    responses=problems(400, 409),
    openapi_extra={"requestBody": body_schema(), "parameters": [KEY_PARAMETER]},
)
async def forget_many(
    request: Request, gateway: GatewayDependency, caller: MayForget, once: KeyedOnce
) -> Response:
    """Accept up to 1,000 requests to be forgotten, in at most 512 KiB. Each item gets a result of its own.

    As `application/x-ndjson` the body has one item on each line. A line that is no JSON is an invalid item, and no
    obstacle to the others; blank lines are no items, and `position` does not count them.

    `accepted`: there is a new request. `existing`: the user has one already, which does not change. `invalid`: the item
    is refused, and `errors` says why. Each accepted user is suppressed before this answers.

    Items are accepted in several transactions. After a broken connection or a crash, send the same body with the same
    key: what is accepted stays so, and the rest is accepted then.
    """
    return await once.import_(partial(_accept, gateway, once, caller, await _sent(request)))


@router.post(
    "/forget-batches/dry-run",
    responses=problems(400),
    openapi_extra={"requestBody": body_schema()},
)
async def try_many(request: Request, gateway: GatewayDependency, _caller: MayForget) -> TrialView:
    """What `POST /forget-batches` would do with this body. Nothing is stored."""
    return await gateway.import_(partial(_try, gateway, await _sent(request)))


@router.get("/forget-batches/{batch_id:path}/items", responses=problems(404))
def read_batch_items(batch_id: BatchId, gateway: GatewayDependency, _caller: MayRead) -> BatchItemsView:
    """Each item of a batch, with the status of its request now."""
    _, rows = _read(gateway, batch_id)
    return BatchItemsView(items=[BatchItemView.of(row, gateway.links) for row in rows])


@router.get("/forget-batches/{batch_id:path}", responses=problems(404))
def read_batch(batch_id: BatchId, gateway: GatewayDependency, _caller: MayRead) -> BatchView:
    """How many items have which result, and how many of their requests are in which status."""
    return BatchView.of(*_read(gateway, batch_id))


def _read(gateway: Gateway, batch_id: str) -> tuple[ForgetBatch, Sequence[queries.ItemRow]]:
    with gateway.database.read() as session:
        batch = queries.find(session, batch_id)
        if batch is None:
            raise not_found("forget batch")
        return batch, queries.items_of(session, batch_id)


async def _sent(request: Request) -> Sent:
    """What reads the items of a request's body. It takes time, so not in the event loop."""
    return partial(read_items, await request.body(), in_lines=json_lines.are_sent(request.headers))


def _accept(gateway: Gateway, once: OnceRequest, caller: Caller, sent: Sent) -> Response:
    items = sent(gateway.subject_key)
    keyed = once.keyed
    assert keyed is not None
    wanted = [_wanted(gateway, position, item) for position, item in enumerate(items)]
    answer: Response | None = None
    for start in range(0, len(wanted), SLICE):
        with once.transaction() as transaction:
            now = transaction.now()
            batch = batches.open_batch(
                transaction,
                key_mac=keyed.key_mac,
                fingerprint=keyed.fingerprint,
                requested_by=caller.name,
                size=len(wanted),
                now=now,
                key_kept_for=KEPT_FOR,
            )
            require_same(keyed, batch.fingerprint)
            created = batches.accept_slice(
                transaction, batch, wanted[start : start + SLICE], now=now, policy=gateway.request_policy
            )
            if start + SLICE >= len(wanted):
                rows = queries.items_of(transaction.session, batch.id)
                answer = once.keep(transaction, _answer(gateway, batch, rows))
        for accepted in created:
            if accepted.selected is None:
                gateway.engine.suppress(accepted.request.epoch, accepted.request.subject_hmac)
            gateway.after_acceptance(accepted)
    assert answer is not None, "a batch has at least one item, so its last slice has made the answer"
    return answer


def _wanted(gateway: Gateway, position: int, item: Item) -> Wanted:
    if item.body is None or item.subject is None:
        return Wanted(position, None, errors=item.errors)
    if item.body.regime is Regime.POLICY and gateway.request_policy.days is None:
        error = {
            "pointer": "/regime",
            "code": "no_days",
            "message": "the request policy has no days of its own",
        }
        return Wanted(position, None, errors=[error])
    asked = asked_by(gateway.subject_key, item.body.user_id, item.body)
    selection = item.body.interactions
    criteria = None if selection is None else selection.criteria(item.subject, datetime.fromtimestamp(0, UTC))
    return Wanted(position, item.subject, asked, criteria)


def _answer(gateway: Gateway, batch: ForgetBatch, rows: Sequence[queries.ItemRow]) -> Response:
    items = [BatchItemView.of(row, gateway.links) for row in rows]
    view = BatchDetail(**BatchView.of(batch, rows).model_dump(), items=items)
    return respond(view, HTTPStatus.ACCEPTED, {"Location": gateway.links.batch(batch.id)})


def _try(gateway: Gateway, sent: Sent) -> TrialView:
    items = sent(gateway.subject_key)
    with gateway.database.read() as session:
        subjects = [item.subject for item in items if item.subject is not None]
        trial = Trial(session, subjects, database_now(session))
        views = []
        for position, item in enumerate(items):
            wanted = _wanted(gateway, position, item)
            result = TrialResult.INVALID
            if wanted.subject_hmac is not None:
                repeats = trial.repeats(wanted.subject_hmac, wanted.criteria)
                result = TrialResult.EXISTING if repeats else TrialResult.NEW
            views.append(
                TrialItemView.model_validate(
                    {"position": position, "result": result, "errors": wanted.errors}
                )
            )
    counts = Counter(view.result for view in views)
    return TrialView(results={result: counts[result] for result in TrialResult}, items=views)
