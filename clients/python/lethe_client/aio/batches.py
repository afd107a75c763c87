# Derived from lethe_client/sync/ by `python -m docs.generate`: edit the file of this name there.
"""Calls about many users at once."""

from __future__ import annotations

from collections.abc import Iterable

from lethe_client.batches import Batch, BatchDetail, BatchItems, ForgetItem, Trial
from lethe_client.exchange import Call, id_of, segment
from lethe_client.aio.connection import Connection


class Batches(Connection):
    """Asking for many users to be forgotten."""

    async def forget_many(self, items: Iterable[ForgetItem], *, idempotency_key: str) -> BatchDetail:
        """Ask for up to 1000 users to be forgotten. An invalid item is no obstacle to the others.

        Send the same items with the same key again if no answer arrived.
        """
        return await self._ask(
            Call("POST", "/forget-batches", body=_body(items), idempotency_key=idempotency_key), BatchDetail
        )

    async def try_many(self, items: Iterable[ForgetItem]) -> Trial:
        """What `forget_many` would do. Nothing is stored."""
        return await self._ask(Call("POST", "/forget-batches/dry-run", body=_body(items)), Trial)

    async def read_batch(self, batch: str) -> Batch:
        """How many items have which result, and how many of their requests are in which state."""
        return await self._ask(Call("GET", f"/forget-batches/{segment(id_of(batch))}"), Batch)

    async def read_batch_items(self, batch: str) -> BatchItems:
        """Each item of a batch, with the state of its request now."""
        return await self._ask(Call("GET", f"/forget-batches/{segment(batch)}/items"), BatchItems)


def _body(items: Iterable[ForgetItem]) -> dict[str, object]:
    return {"items": [item.model_dump(mode="json", exclude_none=True) for item in items]}
