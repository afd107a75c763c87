"""Receipts on a request's page: downloaded, and verified by the browser or, where it cannot, by this gateway.

The browser verifies with `static/receipts.js`: the signature, the checkpoint and the proofs in the receipt. The gateway
does what `lethe receipt verify` does, which also compares each claim with the log. Both use the keys that this gateway
publishes: whoever does not believe the gateway verifies elsewhere, with keys of their own.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response

from app.api_keys.service import Scope
from app.dashboard.access import Viewer, form_of, viewer_with
from app.dashboard.pages import PageRoute, render
from app.db.base import utc_now
from app.dependencies import GatewayDependency
from app.gateway import Gateway
from app.receipts.claims import Kind
from app.receipts.endpoints import MEDIA_TYPE, RequestId, receipt_of
from app.receipts.verification import ReceiptInvalid, Verified, verify

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MayRead = Annotated[Viewer, Depends(viewer_with(Scope.RECEIPTS_READ))]


@router.get("/dashboard/requests/{request_id}/receipts/{kind}.jwt")
async def download(
    request_id: RequestId, kind: Kind, gateway: GatewayDependency, _viewer: MayRead
) -> Response:
    token = await gateway.write(partial(receipt_of, gateway, request_id, kind))
    name = f'attachment; filename="{request_id}.{kind}.jwt"'
    return Response(token, media_type=MEDIA_TYPE, headers={"Content-Disposition": name})


@router.post("/dashboard/requests/{request_id}/receipts/{kind}/verify")
async def verify_here(
    request: Request,
    request_id: RequestId,
    kind: Kind,
    gateway: GatewayDependency,
    viewer: MayRead,
    _form: Annotated[dict[str, list[str]], Depends(form_of)],
) -> Response:
    """Verify on this gateway, for a browser that cannot."""
    token = await gateway.write(partial(receipt_of, gateway, request_id, kind))
    found, problem = await run_sync(partial(_verified, gateway, token, request_id, kind))
    return render(
        request,
        "receipt.html",
        viewer=viewer,
        now=utc_now(),
        current="Worklist",
        request_id=request_id,
        kind=kind,
        found=found,
        problem=problem,
    )


def _verified(gateway: Gateway, token: str, request_id: str, kind: Kind) -> tuple[Verified | None, str]:
    """What holds; or what does not."""
    try:
        found = verify(token, gateway.signer.published)
    except ReceiptInvalid as error:
        return None, str(error)
    if (found.kind, found.claims["request"]) != (kind, request_id):
        return None, "it is the receipt of another request"
    return found, ""
