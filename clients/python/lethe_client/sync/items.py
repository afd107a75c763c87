"""Calls about items that are taken down."""

from __future__ import annotations

from lethe_client.exchange import Call, segment
from lethe_client.items import Takedown, TakedownPage
from lethe_client.sync.connection import Connection


class Items(Connection):
    """Takedowns: items that are never recommended again."""

    def forget_item(
        self, item_id: str, *, client_reference: str | None = None, idempotency_key: str | None = None
    ) -> Takedown:
        """Take an item down, for good. A repeat returns the same takedown.

        >>> client.forget_item("i21").status
        'hidden'
        >>> "i21" in [item.item_id for item in client.recommend("user-7", k=20).items]
        False
        """
        body = {} if client_reference is None else {"client_reference": client_reference}
        path = f"/items/{segment(item_id)}/forget"
        return self._ask(Call("POST", path, body=body, idempotency_key=idempotency_key), Takedown)

    def read_takedown(self, item_id: str) -> Takedown:
        """The takedown of an item.

        >>> client.forget_item("i20").id == client.read_takedown("i20").id
        True
        """
        return self._ask(Call("GET", f"/items/{segment(item_id)}/forget"), Takedown)

    def list_takedowns(self, *, cursor: str | None = None, limit: int | None = None) -> TakedownPage:
        """A page of takedowns, the newest first.

        >>> taken = client.forget_item("i19")
        >>> taken.id in [takedown.id for takedown in client.list_takedowns().takedowns]
        True
        """
        return self._ask(Call("GET", "/takedowns", {"cursor": cursor, "limit": limit}), TakedownPage)
