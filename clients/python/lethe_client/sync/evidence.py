"""Calls about receipts and the audit log."""

from __future__ import annotations

from lethe_client.evidence import ConsistencyProof, Entries, InclusionProof, KeySet
from lethe_client.exchange import Call, id_of, segment
from lethe_client.sync.connection import Connection


class Evidence(Connection):
    """Signed receipts, and the log behind them. `lethe receipt verify` checks a receipt offline."""

    def read_acceptance_receipt(self, request: str) -> str:
        """The signed receipt that a request was accepted, as a compact JWS.

        >>> request = client.forget("user-1")
        >>> client.read_acceptance_receipt(request.id).count(".")
        2
        """
        return self._receipt(request, "acceptance")

    def read_completion_receipt(self, request: str) -> str:
        """The signed receipt of what was executed and measured, as a compact JWS.

        Raises:
            Conflict: the request is not completed.
        """
        return self._receipt(request, "completion")

    def read_checkpoint(self) -> str:
        """The present size and root of the audit log, as a signed note.

        >>> len(client.read_checkpoint().splitlines()) >= 4
        True
        """
        response = self._send(Call("GET", "/audit/checkpoint"))
        return response.text

    def read_entries(self, *, after: int | None = None, limit: int | None = None) -> Entries:
        """Entries of the audit log after one that you have.

        >>> client.read_entries(limit=1).entries[0].sequence
        1
        """
        return self._ask(Call("GET", "/audit/entries", {"after": after, "limit": limit}), Entries)

    def prove_inclusion(self, entry: int, *, size: int | None = None) -> InclusionProof:
        """The proof that an entry is in the log.

        >>> client.prove_inclusion(1).index
        0
        """
        return self._ask(
            Call("GET", "/audit/proof/inclusion", {"entry": entry, "size": size}), InclusionProof
        )

    def prove_consistency(self, first: int, *, second: int | None = None) -> ConsistencyProof:
        """The proof that the log has only grown since it had ``first`` entries.

        >>> client.prove_consistency(1).first
        1
        """
        parameters = {"first": first, "second": second}
        return self._ask(Call("GET", "/audit/proof/consistency", parameters), ConsistencyProof)

    def read_keys(self) -> KeySet:
        """The public keys of receipts and checkpoints.

        >>> client.read_keys().keys[0].crv
        'Ed25519'
        """
        return self._ask(Call("GET", "/.well-known/jwks.json"), KeySet)

    def _receipt(self, request: str, kind: str) -> str:
        response = self._send(Call("GET", f"/forget-requests/{segment(id_of(request))}/receipts/{kind}"))
        return response.text
