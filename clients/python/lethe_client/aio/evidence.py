# Derived from lethe_client/sync/ by `python -m docs.generate`: edit the file of this name there.
"""Calls about receipts and the audit log."""

from __future__ import annotations

from lethe_client.evidence import ConsistencyProof, Entries, InclusionProof, KeySet
from lethe_client.exchange import Call, id_of, segment
from lethe_client.aio.connection import Connection


class Evidence(Connection):
    """Signed receipts, and the log behind them. `lethe receipt verify` checks a receipt offline."""

    async def read_acceptance_receipt(self, request: str) -> str:
        """The signed receipt that a request was accepted, as a compact JWS."""
        return await self._receipt(request, "acceptance")

    async def read_completion_receipt(self, request: str) -> str:
        """The signed receipt of what was executed and measured, as a compact JWS.

        Raises:
            Conflict: the request is not completed.
        """
        return await self._receipt(request, "completion")

    async def read_checkpoint(self) -> str:
        """The present size and root of the audit log, as a signed note."""
        response = await self._send(Call("GET", "/audit/checkpoint"))
        return response.text

    async def read_entries(self, *, after: int | None = None, limit: int | None = None) -> Entries:
        """Entries of the audit log after one that you have."""
        return await self._ask(Call("GET", "/audit/entries", {"after": after, "limit": limit}), Entries)

    async def prove_inclusion(self, entry: int, *, size: int | None = None) -> InclusionProof:
        """The proof that an entry is in the log."""
        return await self._ask(
            Call("GET", "/audit/proof/inclusion", {"entry": entry, "size": size}), InclusionProof
        )

    async def prove_consistency(self, first: int, *, second: int | None = None) -> ConsistencyProof:
        """The proof that the log has only grown since it had ``first`` entries."""
        parameters = {"first": first, "second": second}
        return await self._ask(Call("GET", "/audit/proof/consistency", parameters), ConsistencyProof)

    async def read_keys(self) -> KeySet:
        """The public keys of receipts and checkpoints."""
        return await self._ask(Call("GET", "/.well-known/jwks.json"), KeySet)

    async def _receipt(self, request: str, kind: str) -> str:
        response = await self._send(Call("GET", f"/forget-requests/{segment(id_of(request))}/receipts/{kind}"))
        return response.text
