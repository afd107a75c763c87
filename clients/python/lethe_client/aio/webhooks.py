# Derived from lethe_client/sync/ by `python -m docs.generate`: edit the file of this name there.
"""Calls about webhooks, and about other systems that hold a user."""

from __future__ import annotations

from collections.abc import Iterable

from lethe_client.exchange import Call, id_of, segment
from lethe_client.models import Target
from lethe_client.aio.connection import Connection
from lethe_client.webhooks import (
    Delivery,
    DeliveryList,
    Endpoint,
    EndpointList,
    Protocol,
    Recipient,
    Registered,
    Replayed,
)


class Webhooks(Connection):
    """Registering endpoints that are told of events, following deliveries, and acknowledging targets."""

    async def register_webhook_endpoint(
        self,
        name: str,
        url: str,
        *,
        events: Iterable[str],
        recipient: Recipient | None = None,
        protocol: Protocol = "standard",
        idempotency_key: str | None = None,
    ) -> Registered:
        """Register an endpoint. Keep its secret: it is told once."""
        body = {
            "name": name,
            "url": url,
            "events": list(events),
            "recipient": recipient,
            "protocol": protocol,
        }
        return await self._ask(
            Call("POST", "/webhook-endpoints", body=body, idempotency_key=idempotency_key), Registered
        )

    async def list_webhook_endpoints(self) -> EndpointList:
        """All endpoints."""
        return await self._ask(Call("GET", "/webhook-endpoints"), EndpointList)

    async def read_webhook_endpoint(self, endpoint: str) -> Endpoint:
        """One endpoint."""
        return await self._ask(Call("GET", f"/webhook-endpoints/{segment(endpoint)}"), Endpoint)

    async def remove_webhook_endpoint(self, endpoint: str) -> None:
        """Remove an endpoint. It is told nothing more."""
        await self._send(Call("DELETE", f"/webhook-endpoints/{segment(endpoint)}"))

    async def challenge_webhook_endpoint(self, endpoint: str, *, idempotency_key: str | None = None) -> Endpoint:
        """Have an endpoint prove again that it is yours. It is active once it has answered."""
        path = f"/webhook-endpoints/{segment(endpoint)}/challenge"
        return await self._ask(Call("POST", path, idempotency_key=idempotency_key), Endpoint)

    async def replay_webhook_events(
        self, endpoint: str, *, first: int, last: int, idempotency_key: str | None = None
    ) -> Replayed:
        """Send an endpoint the events of these sequence numbers again."""
        path, body = f"/webhook-endpoints/{segment(endpoint)}/replay", {"first": first, "last": last}
        return await self._ask(Call("POST", path, body=body, idempotency_key=idempotency_key), Replayed)

    async def list_webhook_deliveries(
        self, *, endpoint: str | None = None, state: str | None = None, limit: int | None = None
    ) -> DeliveryList:
        """The latest deliveries."""
        parameters = {"endpoint": endpoint, "state": state, "limit": limit}
        return await self._ask(Call("GET", "/webhook-deliveries", parameters), DeliveryList)

    async def redeliver_webhook(self, delivery: str, *, idempotency_key: str | None = None) -> Delivery:
        """Send one event to its endpoint again."""
        path = f"/webhook-deliveries/{segment(delivery)}/redeliver"
        return await self._ask(Call("POST", path, idempotency_key=idempotency_key), Delivery)

    async def acknowledge_target(self, request: str, name: str, *, idempotency_key: str | None = None) -> Target:
        """Say for another system that it has forgotten the user of a request."""
        path = f"/forget-requests/{segment(id_of(request))}/targets/{segment(name)}/acknowledge"
        return await self._ask(Call("POST", path, idempotency_key=idempotency_key), Target)
