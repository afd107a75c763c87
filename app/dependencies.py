"""Dependencies of the endpoints."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.gateway import Gateway


async def _gateway(request: Request) -> Gateway:
    # Not a plain function: FastAPI would run it in a thread for each request.
    gateway: Gateway = request.app.state.gateway
    return gateway


GatewayDependency = Annotated[Gateway, Depends(_gateway)]
