"""GET /.well-known/jwks.json: the public keys under which receipts and checkpoints verify."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.dependencies import GatewayDependency
from app.json_bodies import JsonRoute
from app.signing.schemas import KeySetView

router = APIRouter(tags=["evidence"], route_class=JsonRoute)

# Long enough that verifiers do not come for every receipt, and shorter than any rotation.
_CACHED = "public, max-age=300"


@router.get("/.well-known/jwks.json")
async def key_set(gateway: GatewayDependency, response: Response) -> KeySetView:
    """The public keys, as a JWK Set (RFC 7517). The first one signs, the others have signed. Needs no API key."""
    response.headers["Cache-Control"] = _CACHED
    return KeySetView.model_validate(gateway.signer.published.jwks)
