# Derived from lethe_client/sync/ by `python -m docs.generate`: edit the file of this name there.
"""Calls about items that are taken down."""

from __future__ import annotations

from lethe_client.exchange import Call, segment
from lethe_client.items import Takedown, TakedownPage
from lethe_client.aio.connection import Connection


class Items(Connection):
    """Takedowns: items that are never recommended again."""

    async def forget_item(
        self, item_id: str, *, client_reference: str | None = None, idempotency_key: str | None = None
    ) -> Takedown:
        """Take an item down, for good. A repeat returns the same takedown."""
        body = {} if client_reference is None else {"client_reference": client_reference}
        path = f"/items/{segment(item_id)}/forget"
        return await self._ask(Call("POST", path, body=body, idempotency_key=idempotency_key), Takedown)

    async def read_takedown(self, item_id: str) -> Takedown:
        """The takedown of an item."""
        return await self._ask(Call("GET", f"/items/{segment(item_id)}/forget"), Takedown)

    async def list_takedowns(self, *, cursor: str | None = None, limit: int | None = None) -> TakedownPage:
        """A page of takedowns, the newest first."""
        return await self._ask(Call("GET", "/takedowns", {"cursor": cursor, "limit": limit}), TakedownPage)
